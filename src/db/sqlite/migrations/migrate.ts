import type { Database } from 'better-sqlite3'
import { Kysely, SqliteAdapter, SqliteDialect, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { explainMigrationError } from '../../newer-schema.ts'
import { BusyRetry } from '../busy-retry.ts'
import { isLocked } from '../errors.ts'
import { messages } from './0001-messages.ts'
import { indexes } from './0002-indexes.ts'
import { senderRuns } from './0003-sender-runs.ts'
import { sources } from './0004-sources.ts'
import { rejected } from './0005-rejected.ts'
import { feed } from './0006-feed.ts'
import { removal } from './0007-removal.ts'

/** The migrations by name, in order. A released migration is never changed. */
const MIGRATIONS: Record<string, Migration> = {
  '0001-messages': messages,
  '0002-derived': indexes,
  '0003-sender-runs': senderRuns,
  '0004-sources': sources,
  '0005-rejected': rejected,
  '0006-feed': feed,
  '0007-removal': removal,
}

/** The `application_id` in the file header of databases that this service creates: `LWHA` in ASCII. */
export const APPLICATION_ID = 0x4c574841

/**
 * Adapter with which the migrator commits each migration and its record in one transaction.
 * Kysely's own adapter commits them separately.
 */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }

  /**
   * Starts the transaction with a write.
   * So it waits for another process that migrates, instead of failing at a later write.
   */
  override async acquireMigrationLock(db: Kysely<unknown>): Promise<void> {
    await sql`update kysely_migration_lock set is_locked = 1`.execute(db)
  }

  override async releaseMigrationLock(db: Kysely<unknown>): Promise<void> {
    await sql`update kysely_migration_lock set is_locked = 0`.execute(db)
  }
}

class TransactionalSqliteDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new TransactionalSqliteAdapter()
  }
}

/** Returns the names of the migrations that have been run, in order. */
function migrationsOf(database: Database): string[] {
  const hasTable = database.prepare("select 1 from sqlite_schema where name = 'kysely_migration'")
  if (!hasTable.get()) return []
  const names = database.prepare<[], string>('select name from kysely_migration order by name')
  return names.pluck().all()
}

/** Returns the name of the last migration that has been run; undefined if there is none. */
export function lastMigration(database: Database): string | undefined {
  return migrationsOf(database).at(-1)
}

/**
 * Whether exactly these migrations have been run.
 * The migrator is then not called, as it would write its lock.
 */
export function isCurrent(database: Database): boolean {
  return migrationsOf(database).join() === Object.keys(MIGRATIONS).sort().join()
}

/**
 * Sets the `application_id` of an empty database.
 * The migrator's tables alone would not identify it, as other programs have them too.
 */
function markIfEmpty(database: Database, timeoutMs: number): void {
  if (database.prepare('select 1 from sqlite_schema').get()) return
  const mark = () => database.pragma(`application_id = ${APPLICATION_ID}`)
  new BusyRetry().run(timeoutMs, mark)
}

/**
 * Migrates the schema to the newest version, each migration in its own transaction.
 * Retries for `timeoutMs` while another process holds a lock.
 * @throws the error of the migration.
 */
export async function migrate(database: Database, timeoutMs: number): Promise<void> {
  if (isCurrent(database)) return
  markIfEmpty(database, timeoutMs)
  // Views in an adopted file must keep referring to `messages` while the table is renamed and replaced.
  database.pragma('legacy_alter_table = ON')
  const migrator = new Migrator({
    db: new Kysely<unknown>({ dialect: new TransactionalSqliteDialect({ database }) }),
    provider: { getMigrations: async () => MIGRATIONS },
  })
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const { error, results } = await migrator.migrateUp()
    if (error === undefined) {
      if (!results?.length) return
    } else if (!isLocked(error) || performance.now() > deadline) {
      throw explainMigrationError(error)
    }
  }
}
