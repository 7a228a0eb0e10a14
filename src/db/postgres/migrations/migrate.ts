import { setTimeout as delay } from 'node:timers/promises'
import { type Migration, Migrator } from 'kysely/migration'
import { explainMigrationError } from '../../newer-schema.ts'
import { tryLock, unlock } from '../locks.ts'
import type { Session } from '../pool.ts'
import { messages } from './0001-messages.ts'
import { sources } from './0002-sources.ts'
import { rejected } from './0003-rejected.ts'
import { feed } from './0004-feed.ts'
import { removal } from './0005-removal.ts'

/** Migrations by name, which determines their order. A released migration is never changed. */
const MIGRATIONS: Record<string, Migration> = {
  '0001-messages': messages,
  '0002-sources': sources,
  '0003-rejected': rejected,
  '0004-feed': feed,
  '0005-removal': removal,
}

/** Milliseconds between two attempts to take the lock. */
const PAUSE_MS = 50

/**
 * Migrates the schema to the newest version, in one transaction.
 * Instances that start at the same time migrate one after the other. They poll for the lock: a statement that waits for
 * it would hold a snapshot, and `create index concurrently` of another instance would wait for that snapshot.
 * @param db a session without time limits.
 * @throws the error of the failed migration.
 */
export async function migrate(db: Session): Promise<void> {
  while (!(await tryLock(db, 'migration'))) await delay(PAUSE_MS)
  try {
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => MIGRATIONS },
      // Without it, Kysely would find its tables in any schema of the database.
      migrationTableSchema: await currentSchema(db),
    })
    const { error } = await migrator.migrateToLatest()
    if (error !== undefined) throw explainMigrationError(error)
  } finally {
    await unlock(db, 'migration')
  }
}

/** Returns the schema that tables are created in. @throws Error if the search path has none. */
async function currentSchema(db: Session): Promise<string> {
  const { schema, path } = await db
    .selectNoFrom((eb) => [
      eb.fn<string | null>('current_schema').as('schema'),
      eb.fn<string>('current_setting', [eb.val('search_path')]).as('path'),
    ])
    .executeTakeFirstOrThrow()
  if (schema === null) throw new Error(`its search_path names no schema that exists: ${path}`)
  return schema
}
