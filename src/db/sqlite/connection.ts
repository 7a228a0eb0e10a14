import Database from 'better-sqlite3'
import { fold } from '../../message/fold.ts'
import { instantKey } from '../../message/instant.ts'
import { BusyRetry } from './busy-retry.ts'
import { indexedText } from './trigrams.ts'

/** Milliseconds that opening or reading waits for a lock of another program. */
export const BUSY_TIMEOUT_MS = 4000

/** SQLite's busy timeout for writes, in milliseconds; `BusyRetry` repeats them. */
const WRITE_BUSY_TIMEOUT_MS = 50

/**
 * Page cache of a reader, in KiB.
 * It is small, as the operating system's page cache serves all readers.
 */
const READER_CACHE_KIB = 4096

/**
 * Page cache of the writer, in KiB.
 * SQLite scans the whole cache at the end of most transactions: with 16 MiB that took 4 of 60 µs per message, with 64
 * MiB 14.
 */
const WRITER_CACHE_KIB = 8000

/**
 * WAL size, in pages of 4 KiB, that triggers a checkpoint.
 * It is large, because a checkpoint copies each page only once, however often it has changed.
 */
const CHECKPOINT_PAGES = 8000

/**
 * Size in bytes to which the write-ahead log is truncated after a checkpoint.
 * It is above what ordinary writes and an import need, so that only growth during a long read is undone.
 */
export const LOG_LIMIT = 128 * 1024 * 1024

/** Page cache in KiB, and WAL size in pages that triggers a checkpoint, of a bulk writer. */
const BULK_CACHE_KIB = 128 * 1024
const BULK_CHECKPOINT_PAGES = 16_000

function defineInstantKey(database: Database.Database): void {
  database.function('instant_key', { deterministic: true }, (ts) => instantKey(String(ts)) ?? '')
}

/**
 * Opens the connection that writes, in WAL mode and with every commit synced to disk.
 * Defines the SQL functions `instant_key(ts)`, the sort key of a timestamp, and `indexed_text(text)`, the text that the
 * trigram index contains.
 */
export function openWriter(path: string, fileMustExist: boolean): Database.Database {
  const database = new Database(path, { timeout: BUSY_TIMEOUT_MS, fileMustExist })
  // SQLite's busy timeout does not apply when two processes create a file at the same time.
  new BusyRetry().run(BUSY_TIMEOUT_MS, () => database.pragma('journal_mode = WAL'))
  // This build of SQLite defaults to NORMAL in WAL mode, which loses commits at a power failure.
  database.pragma('synchronous = FULL')
  database.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
  database.pragma(`cache_size = -${WRITER_CACHE_KIB}`)
  database.pragma(`journal_size_limit = ${LOG_LIMIT}`)
  // Overwrites deleted entries within pages, so that an erasure has to overwrite free pages only.
  database.pragma('secure_delete = FAST')
  defineInstantKey(database)
  database.function('indexed_text', { deterministic: true }, (text) => indexedText(String(text)))
  return database
}

/** Shortens SQLite's busy timeout on a connection whose writes are repeated by `BusyRetry`. */
export function useShortBusyTimeout(database: Database.Database): void {
  database.pragma(`busy_timeout = ${WRITE_BUSY_TIMEOUT_MS}`)
}

/** Increases a connection's cache and log, so that an index page that changes often is written once. */
export function optimizeForBulk(database: Database.Database): void {
  database.pragma(`cache_size = -${BULK_CACHE_KIB}`)
  database.pragma(`wal_autocheckpoint = ${BULK_CHECKPOINT_PAGES}`)
}

/**
 * Opens a read-only connection.
 * Defines the SQL functions `contains_folded(text, needle)`, whether the folded text contains the folded needle, and
 * `check_cancelled()`, which is always true. Both call `throwIfCancelled` for every row: a read can be cancelled in no
 * other way, as better-sqlite3 does not expose `sqlite3_interrupt`.
 */
export function openReader(path: string, throwIfCancelled: () => void): Database.Database {
  const database = new Database(path, { timeout: BUSY_TIMEOUT_MS, readonly: true })
  database.pragma(`cache_size = -${READER_CACHE_KIB}`)
  database.function('contains_folded', { deterministic: true }, (text, needle) => {
    throwIfCancelled()
    return typeof text === 'string' && fold(text).includes(String(needle)) ? 1 : 0
  })
  database.function('check_cancelled', () => {
    throwIfCancelled()
    return 1
  })
  return database
}

/**
 * Opens a read-only connection with a transaction whose snapshot is taken now.
 * Defines `instant_key(ts)` besides the functions of a reader. Closing the connection ends the transaction.
 */
export function openSnapshot(
  path: string,
  throwIfCancelled: () => void = () => {},
): Database.Database {
  const database = openReader(path, throwIfCancelled)
  defineInstantKey(database)
  try {
    database.exec('begin')
    // SQLite takes the snapshot at the first read.
    database.prepare('select 1 from messages limit 1').get()
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Makes a connection also overwrite the pages that it frees with zeros; its deletions become slower. */
export function enableSecureDelete(database: Database.Database): void {
  database.pragma('secure_delete = ON')
}

/**
 * Runs indexing transactions without syncing their commits.
 * The commit of the next append syncs the whole log. Transactions that a power failure loses before that are repeated,
 * as they include the watermark.
 */
export function withoutSync<Result>(database: Database.Database, work: () => Result): Result {
  // Not prepared statements: this pragma takes effect when it is prepared.
  database.exec('pragma synchronous = normal')
  try {
    return work()
  } finally {
    database.exec('pragma synchronous = full')
  }
}
