import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { explainMigrationError } from '../../newer-schema.ts'
import type { Session } from '../pool.ts'
import { messages } from './0001-messages.ts'

/** Every migration, in the order of its name; one that was released is never changed again. */
const MIGRATIONS: Record<string, Migration> = {
  '0001-messages': messages,
}

/** Whoever migrates holds this advisory lock, for its session. */
const LOCK = sql`${sql.lit(0x6c796674)}, ${sql.lit(1)}`

/** Between two tries to get the lock, in milliseconds. */
const PAUSE_MS = 50

/**
 * Brings the schema up to date, all of it in one transaction; instances that start at the same time come one after
 * the other. They ask for the lock again and again rather than wait in one statement: a statement holds a snapshot,
 * and an index that is built beside them would wait for it.
 * @param db on one connection, which nothing cuts off. @throws what stopped it.
 */
export async function migrate(db: Session): Promise<void> {
  for (;;) {
    const { rows } = await sql<{
      locked: boolean
    }>`select pg_try_advisory_lock(${LOCK}) as locked`.execute(db)
    if (rows[0]?.locked) break
    await delay(PAUSE_MS)
  }
  try {
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => MIGRATIONS },
      // Where the search path leads, and not wherever in the database there are such tables.
      migrationTableSchema: await currentSchema(db),
    })
    const { error } = await migrator.migrateToLatest()
    if (error !== undefined) throw explainMigrationError(error)
  } finally {
    await sql`select pg_advisory_unlock(${LOCK})`.execute(db)
  }
}

/** The schema that tables are made in. @throws Error where the search path names none that exists. */
async function currentSchema(db: Session): Promise<string> {
  const { rows } = await sql<{ schema: string | null; path: string }>`
    select current_schema() as schema, current_setting('search_path') as path`.execute(db)
  const [row] = rows
  if (!row?.schema) throw new Error(`its search_path names no schema that exists: ${row?.path}`)
  return row.schema
}
