import { readdirSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { BUSY_TIMEOUT_MS } from './connection.ts'
import { isCurrent, lastMigration } from './migrations/migrate.ts'
import { writeBackup } from './offline/backup.ts'

/** Returns the name of the schema of a file that will be migrated; undefined if it is new or current. */
function schemaToMigrate(path: string): string | undefined {
  if (!statSync(path, { throwIfNoEntry: false })?.size) return undefined
  const database = new Database(path, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
  try {
    const hasMessages = database.prepare("select 1 from sqlite_schema where name = 'messages'")
    if (!hasMessages.get() || isCurrent(database)) return undefined
    return lastMigration(database) ?? 'legacy'
  } finally {
    database.close()
  }
}

/** Removes what earlier starts left that ended while they wrote the backup. */
function removeUnfinished(target: string): void {
  const name = `${basename(target)}.`
  for (const file of readdirSync(dirname(target))) {
    if (file.startsWith(name) && file.endsWith('.part')) rmSync(join(dirname(target), file))
  }
}

/**
 * Backs up a file whose schema will be migrated, to a file beside it that is named after its schema.
 * A backup of the same schema is replaced: an interrupted migration has changed nothing.
 * @returns the path of the backup; undefined if the schema is current.
 * @throws Error with a message of one line.
 */
export async function backUpBeforeMigration(path: string): Promise<string | undefined> {
  const schema = schemaToMigrate(path)
  if (schema === undefined) return undefined
  const target = `${path}.${schema}.backup`
  try {
    removeUnfinished(target)
    await writeBackup(path, target)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`${reason}; a migration needs it, unless BACKUP_BEFORE_MIGRATION is false`)
  }
  return target
}
