import type { Database } from 'better-sqlite3'
import { openWriter, optimizeForBulk, useShortBusyTimeout } from './connection.ts'
import { FileGuard } from './files.ts'
import { inspectFile } from './inspect.ts'
import { backUpBeforeMigration } from './migration-backup.ts'
import { migrate } from './migrations/migrate.ts'
import type { WriterData } from './worker/writer-data.ts'

/** A database with the newest schema. */
export interface MigratedDatabase {
  database: Database
  /** Path of the backup before the migration; undefined if there was none. */
  backup: string | undefined
}

/**
 * Opens the connection that writes, after inspecting the file, and migrates the schema.
 * @param lockTimeoutMs milliseconds for which the migration waits for locks.
 * @throws Error with a message of one line.
 */
export async function openMigrated(
  { path, previous, bulk, backupBeforeMigration }: WriterData,
  lockTimeoutMs: number,
): Promise<MigratedDatabase> {
  if (previous) new FileGuard(previous).assertInPlace()
  else inspectFile(path)
  const backup = backupBeforeMigration ? await backUpBeforeMigration(path) : undefined
  const database = openWriter(path, previous !== undefined)
  if (bulk) optimizeForBulk(database)
  await migrate(database, lockTimeoutMs)
  useShortBusyTimeout(database)
  return { database, backup }
}
