import { copyFileSync, mkdtempSync, rmSync, type Stats, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { StoreCorruptError } from '../message-store.ts'
import { BusyRetry } from './busy-retry.ts'
import { BUSY_TIMEOUT_MS } from './connection.ts'
import { isCorruption } from './integrity.ts'
import { APPLICATION_ID } from './migrations/migrate.ts'

/** A file up to this many bytes is checked as a whole at every start, which takes some tenths of a second. */
const CHECKED_AT_START = 64 * 1024 * 1024

/** SQLite takes a file of one byte for a new database; the smallest one has a page of this many bytes. */
const SMALLEST_DATABASE = 512

/** Tables of the migrator, which are there before the first migration is. */
const MIGRATION_TABLES = ['kysely_migration', 'kysely_migration_lock']

/** The columns of the legacy Python service's table `messages`. */
const LEGACY_COLUMNS = ['created_at', 'from_msisdn', 'message_id', 'text', 'to_msisdn', 'ts']

/** Tables that adopting a legacy file creates. */
const CREATED_TABLES = [
  ...MIGRATION_TABLES,
  'reference_messages',
  'heartbeat',
  'watermark',
  'senders',
  'sender_messages',
  'days',
  'minutes',
  'trigrams',
]

const UNCHANGED = 'it was left as it is'

/** Lists names on one line. */
function list(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => name.replace(/\s+/g, ' '))
  return [...shown, ...(names.length > shown.length ? ['…'] : [])].join(', ')
}

/** Rejects a database that is neither empty, nor this service's, nor the legacy service's. */
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
    // A first start that was interrupted leaves the migrator's tables, which other applications have too.
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

function checkIntegrity(database: Database.Database): void {
  const found = database.pragma('quick_check(1)', { simple: true })
  if (found !== 'ok') throw new StoreCorruptError(String(found).replaceAll('\n', ' '))
}

/** Size in bytes of a file, 0 if it does not exist. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** Whether opening the database changes a file: rolls back its transaction, or creates its shared memory. */
function needsRecovery(path: string): boolean {
  return sizeOf(`${path}-journal`) > 0 || (sizeOf(`${path}-wal`) > 0 && sizeOf(`${path}-shm`) === 0)
}

/** Copies the database to a new temporary folder. @returns that folder, undefined if there is no room for it. */
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
 * Rejects a foreign database that needs recovery by recovering a copy of it. A copy that cannot be made or read rejects
 * nothing: the temporary folder may be full, or another process may have written meanwhile.
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

function inspect(path: string, { size }: Stats): void {
  const total = size + sizeOf(`${path}-journal`) + sizeOf(`${path}-wal`)
  if (total <= CHECKED_AT_START && needsRecovery(path)) rejectForeignCopy(path)
  const database = new Database(path, {
    timeout: BUSY_TIMEOUT_MS,
    fileMustExist: true,
    // Closing a writable connection would checkpoint the log; a read-only one leaves an empty log if there is none.
    readonly: sizeOf(`${path}-wal`) > 0,
  })
  try {
    rejectForeign(database)
    if (size <= CHECKED_AT_START) checkIntegrity(database)
  } finally {
    database.close()
  }
}

/**
 * Rejects a file that is no database of this service or of the legacy one, or is damaged, without changing a byte. A
 * file that is missing or empty passes. One that is too large to be checked at every start is not checked as a whole,
 * and if it is foreign, SQLite may recover it.
 * @throws StoreCorruptError, or Error in one line.
 */
export function inspectFile(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) return
  if (!stat.isFile()) throw new Error('it is not a file')
  if (stat.size === 0) return
  const notDatabase = `it is damaged or not a SQLite database, and was left as it is; restore it from a backup`
  if (stat.size < SMALLEST_DATABASE) throw new StoreCorruptError(notDatabase)
  try {
    new BusyRetry().run(BUSY_TIMEOUT_MS, () => inspect(path, stat))
  } catch (error) {
    if (!(error instanceof Error) || !isCorruption(error)) throw error
    throw new StoreCorruptError(
      error.message === 'file is not a database'
        ? notDatabase
        : `it is damaged (${error.message}) and was left as it is; restore it from a backup`,
    )
  }
}
