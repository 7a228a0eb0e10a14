import { type Stats, statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { StoreCorruptError } from '../message-store.ts'
import { BusyRetry } from './busy-retry.ts'
import { BUSY_TIMEOUT_MS } from './connection.ts'
import { isCorruption } from './integrity.ts'

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
  const migrations = has('kysely_migration') ? pluck('select name from kysely_migration') : []
  if (migrations.includes('0001-messages')) return
  if (!has('messages')) {
    const isNew =
      migrations.length === 0 && objects.every((name) => MIGRATION_TABLES.includes(name))
    if (isNew) return
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

/**
 * Whether SQLite can open the file for writing, read it and close it without a trace. Where a log is left, closing would
 * fold it into the file; where none is, a connection that only reads leaves an empty one behind.
 */
function leavesNoTrace(path: string): boolean {
  return (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0
}

function inspect(path: string, { size }: Stats): void {
  const database = new Database(path, {
    timeout: BUSY_TIMEOUT_MS,
    fileMustExist: true,
    readonly: !leavesNoTrace(path),
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
 * file that is missing or empty passes. One that is too large to be checked at every start is not checked as a whole.
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
