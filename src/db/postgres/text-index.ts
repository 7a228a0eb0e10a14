import { sql } from 'kysely'
import { errorMessage } from './errors.ts'
import type { Session } from './pool.ts'
import { INDEXED_TEXT } from './queries/filter.ts'

/** Whoever builds the index holds this advisory lock; nobody waits for it. */
const LOCK = sql`${sql.lit(0x6c796674)}, ${sql.lit(3)}`

/** Whether searches have an index, and if not, why. */
export type TextIndex =
  | 'there'
  /** Another instance is building it. */
  | 'elsewhere'
  | {
      /** What the server said. */
      missing: string
    }

/**
 * Looks the index up in the schema of the session alone: `to_regclass` would find that of a service in a schema further
 * down the search path. An interrupted build leaves an index that exists and is not valid.
 */
async function find(session: Session): Promise<{ exists: boolean; valid: boolean }> {
  const { rows } = await sql<{ valid: boolean }>`
    select indisvalid as valid from pg_index join pg_class on pg_class.oid = indexrelid
    where relname = 'messages_by_text' and relnamespace = current_schema()::regnamespace`.execute(
    session,
  )
  return { exists: rows.length > 0, valid: rows[0]?.valid ?? false }
}

async function build(session: Session): Promise<void> {
  await sql`create extension if not exists pg_trgm`.execute(session)
  const { rows } = await sql<{ schema: string }>`
    select extnamespace::regnamespace::text as schema from pg_extension where extname = 'pg_trgm'`.execute(
    session,
  )
  if ((await find(session)).exists) {
    await sql`drop index concurrently messages_by_text`.execute(session)
  }
  // The namespace is quoted by the server where it has to be.
  const operators = sql.raw(`${rows[0]?.schema}.gin_trgm_ops`)
  await sql`create index concurrently messages_by_text
    on messages using gin ((${INDEXED_TEXT}) ${operators})`.execute(session)
}

/**
 * Makes the index that searches use, where the server has `pg_trgm` and lets us: without locking out anybody, and
 * by one instance at a time. Searches are right without it, and slower.
 * @param session one that nothing but the store's end cuts off.
 */
export async function ensureTextIndex(session: Session): Promise<TextIndex> {
  if ((await find(session)).valid) return 'there'
  const { rows } = await sql<{
    locked: boolean
  }>`select pg_try_advisory_lock(${LOCK}) as locked`.execute(session)
  if (!rows[0]?.locked) return 'elsewhere'
  try {
    if (!(await find(session)).valid) await build(session)
    return 'there'
  } catch (error) {
    return { missing: errorMessage(error) }
  } finally {
    await sql`select pg_advisory_unlock(${LOCK})`.execute(session)
  }
}
