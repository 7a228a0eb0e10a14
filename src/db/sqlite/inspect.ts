import { copyFileSync, mkdtempSync, rmSync, type Stats, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { StoreCorruptError } from '../message-store.ts'
import { BusyRetry } from './busy-retry.ts'
import { BUSY_TIMEOUT_MS } from './connection.ts'
import { isCorruption } from './errors.ts'
import { APPLICATION_ID } from './migrations/migrate.ts'

/**
 * Maximum size in bytes of a file whose integrity is checked at every start.
 * The check of such a file takes some tenths of a second.
 */
const MAX_CHECKED_BYTES = 64 * 1024 * 1024

/**
 * Size in bytes of the smallest database, one page.
 * SQLite would treat a file of one byte as a new database.
 */
const MIN_DATABASE_BYTES = 512

/** Tables of the migrator, which it creates before the first migration. */
const MIGRATION_TABLES = ['kysely_migration', 'kysely_migration_lock']

/** The columns of the legacy Python service's table `messages`, in alphabetical order. */
const LEGACY_COLUMNS = ['created_at', 'from_msisdn', 'message_id', 'text', 'to_msisdn', 'ts']

/** Tables that adopting a legacy file creates. */
const CREATED_TABLES = [
  ...MIGRATION_TABLES,
  'legacy_messages',
  'heartbeat',
  'watermark',
  'senders',
  'sender_messages',
  'sender_runs',
  'sender_entries',
  'days',
  'minutes',
  'trigrams',
  'rejected_bodies',
  'feed_start',
  'digest_key',
  'removed_messages',
  'erased_ids',
  'free_pages',
  'last_backup',
]

const UNCHANGED = 'it was left as it is'

/** Joins up to five names on one line. */
function list(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => name.replace(/\s+/g, ' '))
  return [...shown, ...(names.length > shown.length ? ['…'] : [])].join(', ')
}

/** Throws unless the database is empty, or belongs to this service or the legacy Python service. */
function rejectForeign(database: Database.Database): void {
  const pluck = (sql: string) => database.prepare<[], string>(sql).pluck().all()
  const objects = pluck(
    "select name from sqlite_schema where name not like 'sqlite\\_%' escape '\\'",
  )
  const has = (name: string) => objects.includes(name)
  const isOurs = database.pragma('application_id', { simple: true }) === APPLICATION_ID
  const migrations = has('kysely_migration') ? pluck('select name from kysely_migration') : []
  if (migrations.includes('0001-messages')) return
  if (!has('messages')) {
    // An interrupted first start leaves the migrator's tables. Other programs have those, but not the application id.
    const isUnfinished =
      isOurs && migrations.length === 0 && objects.every((name) => MIGRATION_TABLES.includes(name))
    if (objects.length === 0 || isUnfinished) return
    throw new Error(`it belongs to another application (it has ${list(objects)}); ${UNCHANGED}`)
  }
  const columns = pluck("select name from pragma_table_info('messages') order by name")
  if (columns.join() !== LEGACY_COLUMNS.join()) {
    throw new Error(
      `its table messages has the columns ${list(columns)}; expected are ${LEGACY_COLUMNS.join(', ')}; ${UNCHANGED}`,
    )
  }
  const taken = CREATED_TABLES.filter((name) => has(name) && !MIGRATION_TABLES.includes(name))
  if (taken.length > 0 || migrations.length > 0) {
    throw new Error(`it has tables whose names this service needs (${list(taken)}); ${UNCHANGED}`)
  }
}

/** Throws if SQLite finds corruption. @throws StoreCorruptError */
function checkIntegrity(database: Database.Database): void {
  const found = database.pragma('quick_check(1)', { simple: true })
  if (found !== 'ok') throw new StoreCorruptError(String(found).replaceAll('\n', ' '))
}

/** Returns the size in bytes of a file, 0 if it does not exist. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** Whether opening the database would roll back a transaction or create the shared memory. */
function needsRecovery(path: string): boolean {
  return sizeOf(`${path}-journal`) > 0 || (sizeOf(`${path}-wal`) > 0 && sizeOf(`${path}-shm`) === 0)
}

/** Copies the database to a new temporary folder. @returns the folder, or undefined if copying fails. */
function copyDatabase(path: string): string | undefined {
  let folder: string | undefined
  try {
    folder = mkdtempSync(join(tmpdir(), 'lyftr-webhook-'))
    for (const end of ['', '-journal', '-wal']) {
      if (sizeOf(path + end) > 0) copyFileSync(path + end, join(folder, `copy.db${end}`))
    }
    return folder
  } catch {
    if (folder) rmSync(folder, { recursive: true, force: true })
    return undefined
  }
}

/**
 * Throws if a database that needs recovery is foreign; checks a recovered copy.
 * Does not throw if the copy cannot be made or read: the temporary folder may be full, or another process may have
 * written meanwhile.
 */
function rejectForeignCopy(path: string): void {
  const folder = copyDatabase(path)
  if (!folder) return
  try {
    const database = new Database(join(folder, 'copy.db'))
    try {
      rejectForeign(database)
    } finally {
      database.close()
    }
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Inspects an existing file that is not empty. */
function inspect(path: string, { size }: Stats): void {
  const total = size + sizeOf(`${path}-journal`) + sizeOf(`${path}-wal`)
  if (total <= MAX_CHECKED_BYTES && needsRecovery(path)) rejectForeignCopy(path)
  const database = new Database(path, {
    timeout: BUSY_TIMEOUT_MS,
    fileMustExist: true,
    // Closing a writable connection checkpoints the log; a read-only connection would create an empty one.
    readonly: sizeOf(`${path}-wal`) > 0,
  })
  try {
    rejectForeign(database)
    if (size <= MAX_CHECKED_BYTES) checkIntegrity(database)
  } finally {
    database.close()
  }
}

/**
 * Throws if a file is corrupt, or is not a database of this service or the legacy one.
 * Does not change a byte. Accepts a missing or empty file. The integrity of a file above `MAX_CHECKED_BYTES` is not
 * checked, and if such a file is foreign, SQLite may recover it.
 * @throws StoreCorruptError, or Error with a message of one line.
 */
export function inspectFile(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) return
  if (!stat.isFile()) throw new Error('it is not a file')
  if (stat.size === 0) return
  const notDatabase = `it is corrupt or not a SQLite database, and was left as it is; restore it from a backup`
  if (stat.size < MIN_DATABASE_BYTES) throw new StoreCorruptError(notDatabase)
  try {
    new BusyRetry().run(BUSY_TIMEOUT_MS, () => inspect(path, stat))
  } catch (error) {
    if (!(error instanceof Error) || !isCorruption(error)) throw error
    throw new StoreCorruptError(
      error.message === 'file is not a database'
        ? notDatabase
        : `it is corrupt (${error.message}) and was left as it is; restore it from a backup`,
    )
  }
}
