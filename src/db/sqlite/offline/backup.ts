import { closeSync, constants, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { StoreCorruptError } from '../../message-store.ts'
import { BUSY_TIMEOUT_MS, openSnapshot } from '../connection.ts'
import { describeFailure } from '../errors.ts'
import { companionFiles, resolveLinks, resolveTarget } from '../files.ts'

/** Pages of 4 KiB that are copied before progress is reported. */
const STEP_PAGES = 4096

/** Called with the number of bytes that are copied, and their total. */
export type CopyListener = (bytes: number, total: number) => void

/** The contents of a backup. */
export interface BackupContents {
  messages: number
  bytes: number
}

/** Writes a file, or the entries of a folder, to disk. */
export function sync(path: string): void {
  const descriptor = openSync(path, constants.O_RDONLY)
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Removes a copy that was not moved to its place, with the files that SQLite keeps next to it. */
export function removeCopy(path: string): void {
  for (const file of [path, ...companionFiles(path)]) rmSync(file, { force: true })
}

/** Creates an empty file that only its owner can read. Replaces an existing one. */
export function createPrivateFile(path: string): void {
  rmSync(path, { force: true })
  closeSync(openSync(path, 'wx', 0o600))
}

/**
 * Checks a copy that no other process uses, and makes it a single file without a write-ahead log.
 * @throws StoreCorruptError
 */
export function checkCopy(path: string): BackupContents {
  const database = new Database(path, { fileMustExist: true })
  try {
    database.pragma('journal_mode = DELETE')
    const found = database.pragma('quick_check(1)', { simple: true })
    if (found !== 'ok') throw new StoreCorruptError(String(found).replaceAll('\n', ' '))
    const contents = database
      .prepare<[], BackupContents>(
        'select (select count(*) from messages) as messages, page_count * page_size as bytes from pragma_page_count, pragma_page_size',
      )
      .get()
    return contents ?? { messages: 0, bytes: 0 }
  } finally {
    database.close()
  }
}

/** Copies one snapshot of a database to an empty file. The database may be written meanwhile. */
export async function copyDatabase(
  from: string,
  to: string,
  onProgress: CopyListener,
): Promise<void> {
  // The transaction keeps the snapshot: without it, every commit would start the copy again.
  const source = openSnapshot(from)
  try {
    const pageSize = Number(source.pragma('page_size', { simple: true }))
    await source.backup(to, {
      progress: ({ totalPages, remainingPages }) => {
        onProgress((totalPages - remainingPages) * pageSize, totalPages * pageSize)
        return STEP_PAGES
      },
    })
  } finally {
    source.close()
  }
}

/** Throws if a path is that of the database or of a file that SQLite keeps next to it. */
function rejectOwnFiles(path: string, target: string): void {
  const database = resolveLinks(path)
  if ([database, ...companionFiles(database)].includes(resolveTarget(target))) {
    throw new Error(`${target} belongs to the database itself; write the backup to another file`)
  }
}

/** Records the time of a backup in the database; does nothing in one of an earlier version. */
function recordBackup(path: string, at: string): void {
  const database = new Database(path, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
  try {
    if (!database.prepare("select 1 from sqlite_schema where name = 'last_backup'").get()) return
    database
      .prepare<[string]>(
        'insert into last_backup values (1, ?) on conflict do update set at = excluded.at',
      )
      .run(at)
  } finally {
    database.close()
  }
}

/**
 * Writes a snapshot of a database, which may be in use, to a file: checked and synced.
 * The file appears, or replaces an existing one, only when it is complete. Only its owner can read it.
 * @throws Error with a message of one line.
 */
export async function writeBackup(
  path: string,
  target: string,
  onProgress: CopyListener = () => {},
): Promise<BackupContents> {
  const part = `${target}.${process.pid}.part`
  try {
    createPrivateFile(part)
    await copyDatabase(path, part, onProgress)
    const contents = checkCopy(part)
    sync(part)
    renameSync(part, target)
    sync(dirname(target))
    return contents
  } catch (error) {
    const action = `back up ${JSON.stringify(path)} to ${JSON.stringify(target)}`
    throw new Error(describeFailure(action, error), { cause: error })
  } finally {
    removeCopy(part)
  }
}

/**
 * Writes a backup of a database like `writeBackup`, and records its time in the database.
 * @throws Error with a message of one line.
 */
export async function backup(
  path: string,
  target: string,
  onProgress: CopyListener,
): Promise<BackupContents> {
  rejectOwnFiles(path, target)
  const startedAt = new Date().toISOString()
  const contents = await writeBackup(path, target, onProgress)
  try {
    recordBackup(path, startedAt)
  } catch (error) {
    const action = 'record the time of the backup, which is complete'
    throw new Error(describeFailure(action, error), { cause: error })
  }
  return contents
}
