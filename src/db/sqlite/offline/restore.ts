import { chmodSync, chownSync, existsSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { describeFailure, isCorruption, isLocked } from '../errors.ts'
import { companionFiles, makeFolder, resolveLinks } from '../files.ts'
import { inspectFile } from '../inspect.ts'
import {
  type BackupContents,
  type CopyListener,
  checkCopy,
  copyDatabase,
  createPrivateFile,
  removeCopy,
  sync,
} from './backup.ts'

/** Options of a restore. */
export interface RestoreOptions {
  /** Whether to replace a database that is corrupt or has messages that the backup lacks. */
  force: boolean
}

/**
 * Opens a database that no other process has open, and keeps others from opening it.
 * @throws Error if it is in use.
 */
function openExclusively(path: string): Database.Database {
  const database = new Database(path, { fileMustExist: true, timeout: 0 })
  try {
    // Fails while another connection is open. Afterwards there is no write-ahead log.
    database.pragma('journal_mode = DELETE')
    database.exec('begin exclusive')
    return database
  } catch (error) {
    database.close()
    if (error instanceof Error && isLocked(error)) {
      throw new Error('the database is in use; stop the service first', { cause: error })
    }
    throw error
  }
}

/** Returns the number of messages that were stored after the copy was made. */
function countNewer(database: Database.Database, copy: string): number {
  const other = new Database(copy, { readonly: true })
  try {
    const last = other.prepare<[], number>('select max(seq) from messages').pluck().get() ?? 0
    const newer = database.prepare<[number], number>('select count(*) from messages where seq > ?')
    return newer.pluck().get(last) ?? 0
  } finally {
    other.close()
  }
}

/** Throws if the database has messages that the copy lacks. */
function rejectLoss(database: Database.Database, copy: string): void {
  const newer = countNewer(database, copy)
  if (newer === 0) return
  throw new Error(
    `the database has ${newer} ${newer === 1 ? 'message' : 'messages'} that the backup lacks; --force discards them`,
  )
}

/** Replaces the database with the copy, which gets its owner and permissions, while no other process can open it. */
function replace(path: string, copy: string, { force }: RestoreOptions): void {
  if (!existsSync(path)) {
    renameSync(copy, path)
    return
  }
  let database: Database.Database | undefined
  const { uid, gid, mode } = statSync(path)
  chownSync(copy, uid, gid)
  chmodSync(copy, mode)
  try {
    inspectFile(path)
    database = openExclusively(path)
    if (!force) rejectLoss(database, copy)
  } catch (error) {
    if (!(error instanceof Error && isCorruption(error))) throw error
    if (!force) throw new Error(`the database is corrupt (${error.message}); --force replaces it`)
    for (const file of companionFiles(path)) rmSync(file, { force: true })
  }
  try {
    renameSync(copy, path)
  } finally {
    database?.close()
  }
}

/** Copies the backup to a file next to the database, checks the copy, and replaces the database with it. */
async function replaceByCopy(
  target: string,
  source: string,
  options: RestoreOptions,
  onProgress: CopyListener,
): Promise<BackupContents> {
  const part = `${target}.${process.pid}.part`
  try {
    createPrivateFile(part)
    await copyDatabase(source, part, onProgress)
    const contents = checkCopy(part)
    sync(part)
    replace(target, part, options)
    sync(dirname(target))
    return contents
  } finally {
    removeCopy(part)
  }
}

/**
 * Replaces a database, which must not be in use, with a backup. The backup is checked first, and stays as it is.
 * @throws Error with a message of one line.
 */
export async function restore(
  path: string,
  source: string,
  options: RestoreOptions,
  onProgress: CopyListener,
): Promise<BackupContents> {
  try {
    if (!existsSync(source)) throw new Error(`there is no file ${source}`)
    inspectFile(source)
    makeFolder(dirname(path))
    // A symbolic link may lead to another file system, onto which no file can be renamed.
    return await replaceByCopy(resolveLinks(path), source, options, onProgress)
  } catch (error) {
    const action = `restore ${JSON.stringify(source)} to ${JSON.stringify(path)}`
    throw new Error(describeFailure(action, error), { cause: error })
  }
}
