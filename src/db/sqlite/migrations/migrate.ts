import type { Database } from 'better-sqlite3'
import { Kysely, SqliteAdapter, SqliteDialect, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { inWords } from '../../newer-schema.ts'
import { BusyRetry, isLocked } from '../busy-retry.ts'
import { messages } from './0001-messages.ts'
import { derived } from './0002-indexes.ts'

/** Every migration, in the order of its name; one that was released is never changed again. */
const MIGRATIONS: Record<string, Migration> = {
  '0001-messages': messages,
  '0002-derived': derived,
}

/** The header field `application_id` of databases that this service creates: `LWHA` in ASCII. */
export const APPLICATION_ID = 0x4c574841

/** SQLite's DDL is transactional: a migration and the record of it are committed together, or not at all. */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }

  /** Writing first makes the transaction wait here for another process that migrates, not fail later. */
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

/** Whether every migration has been run, and no other: then there is nothing to write, not even the lock. */
function isCurrent(database: Database): boolean {
  const hasTable = database.prepare("select 1 from sqlite_schema where name = 'kysely_migration'")
  if (!hasTable.get()) return false
  const done = database.prepare('select name from kysely_migration order by name').pluck().all()
  return done.join() === Object.keys(MIGRATIONS).sort().join()
}

/** Marks an empty database before the migrator creates its tables, which other applications have too. */
function markIfEmpty(database: Database, patienceMs: number): void {
  if (database.prepare('select 1 from sqlite_schema').get()) return
  const mark = () => database.pragma(`application_id = ${APPLICATION_ID}`)
  new BusyRetry().run(patienceMs, mark)
}

/**
 * Brings the schema up to date, each migration in a transaction of its own; again where another process that does the
 * same was in the way, until the patience is over. @throws what stopped it.
 */
export async function migrate(database: Database, patienceMs: number): Promise<void> {
  if (isCurrent(database)) return
  markIfEmpty(database, patienceMs)
  // Views of others keep the name of the table they were made for while it is renamed and made anew.
  database.pragma('legacy_alter_table = ON')
  const migrator = new Migrator({
    db: new Kysely<unknown>({ dialect: new TransactionalSqliteDialect({ database }) }),
    provider: { getMigrations: async () => MIGRATIONS },
  })
  const deadline = performance.now() + patienceMs
  for (;;) {
    const { error, results } = await migrator.migrateUp()
    if (error === undefined) {
      if (!results?.length) return
    } else if (!isLocked(error) || performance.now() > deadline) {
      throw inWords(error)
    }
  }
}
