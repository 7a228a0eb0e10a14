import { sql } from 'kysely'
import type { WarningListener } from '../message-store.ts'
import { errorMessage } from './errors.ts'
import { tryLock, unlock } from './locks.ts'
import type { Pool, Session } from './pool.ts'
import { INDEXED_TEXT } from './queries/filter.ts'

/** Milliseconds between two attempts to create the index. */
const RETRY_MS = 60_000

/** Result of an attempt to create the index; `busy` if another instance is building it. */
type Attempt = 'exists' | 'busy' | { error: string }

/**
 * Creates the index that text searches use, in the background, and retries until it exists.
 * It is built concurrently, so that reads and writes continue, and by one instance at a time. Searches are correct
 * without it, but slower.
 */
export class TextIndex {
  readonly #pool: Pool
  readonly #onWarning: WarningListener | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #warned = false

  /**
   * @param pool a pool without time limits.
   * @param onWarning called once if the index cannot be created.
   */
  constructor(pool: Pool, onWarning: WarningListener | undefined) {
    this.#pool = pool
    this.#onWarning = onWarning
  }

  /** Starts the first attempt. */
  start(): void {
    void this.#attempt()
  }

  /** Prevents further attempts, without interrupting a running one. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #attempt(): Promise<void> {
    const attempt = await this.#pool.run(createIndex).catch(() => undefined)
    if (this.#stopped || attempt === 'exists') return
    if (typeof attempt === 'object' && !this.#warned) {
      this.#warned = true
      this.#onWarning?.(
        'searches have no index and read every text: it could not be created; it needs pg_trgm',
        { reason: attempt.error },
      )
    }
    this.#timer = setTimeout(() => this.start(), RETRY_MS)
    this.#timer.unref()
  }
}

/**
 * Looks up the index in the current schema only.
 * `to_regclass` would also find the index of another installation further down the search path. An interrupted build
 * leaves an index that exists and is not valid.
 */
async function findIndex(session: Session): Promise<{ exists: boolean; valid: boolean }> {
  const { rows } = await sql<{ valid: boolean }>`
    select indisvalid as valid from pg_index join pg_class on pg_class.oid = indexrelid
    where relname = 'messages_by_text' and relnamespace = current_schema()::regnamespace`.execute(
    session,
  )
  return { exists: rows.length > 0, valid: rows[0]?.valid ?? false }
}

async function buildIndex(session: Session): Promise<void> {
  await sql`create extension if not exists pg_trgm`.execute(session)
  const { rows } = await sql<{ schema: string }>`
    select extnamespace::regnamespace::text as schema from pg_extension where extname = 'pg_trgm'`.execute(
    session,
  )
  if ((await findIndex(session)).exists) {
    await sql`drop index concurrently messages_by_text`.execute(session)
  }
  // The cast of regnamespace to text has quoted the schema name where necessary.
  const operators = sql.raw(`${rows[0]?.schema}.gin_trgm_ops`)
  await sql`create index concurrently messages_by_text
    on messages using gin ((${INDEXED_TEXT}) ${operators})`.execute(session)
}

async function createIndex(session: Session): Promise<Attempt> {
  if ((await findIndex(session)).valid) return 'exists'
  if (!(await tryLock(session, 'textIndex'))) return 'busy'
  try {
    if (!(await findIndex(session)).valid) await buildIndex(session)
    return 'exists'
  } catch (error) {
    return { error: errorMessage(error) }
  } finally {
    await unlock(session, 'textIndex')
  }
}
