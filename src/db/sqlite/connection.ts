import Database from 'better-sqlite3'
import { fold } from '../../message/fold.ts'
import { instantKey } from '../../message/instant.ts'
import { BusyRetry } from './busy-retry.ts'
import { indexedText } from './trigrams.ts'

/** How long a start and a read wait for a lock that another program holds, in milliseconds. */
export const BUSY_TIMEOUT_MS = 4000

/** The same for a write, which waits by `BusyRetry`. */
const WRITE_BUSY_TIMEOUT_MS = 50

/** What a reader keeps of the file; the rest is the page cache's of the system, shared by all. */
const READER_CACHE_KIB = 4096

/**
 * Pages of the write-ahead log, of 4 KiB, after which they are carried over to the file: a page that many commits
 * changed is carried over once.
 */
const CHECKPOINT_PAGES = 8000

/**
 * Size in bytes that the write-ahead log is truncated to once it is checkpointed: above what ordinary writes and an
 * import reach, so that only the growth during a long read is given back.
 */
export const LOG_LIMIT = 128 * 1024 * 1024

/** From now on a lock is waited for by `BusyRetry`. */
export function waitBriefly(database: Database.Database): void {
  database.pragma(`busy_timeout = ${WRITE_BUSY_TIMEOUT_MS}`)
}

/**
 * The one connection that writes: WAL, and every commit synced to disk before it returns. `instant_key(ts)` and
 * `indexed_text(text)` are those of the service.
 */
export function openWriter(path: string, fileMustExist: boolean): Database.Database {
  const database = new Database(path, { timeout: BUSY_TIMEOUT_MS, fileMustExist })
  // SQLite does not wait by itself where two processes make a new file at the same time.
  new BusyRetry().run(BUSY_TIMEOUT_MS, () => database.pragma('journal_mode = WAL'))
  // Set explicitly: this build of SQLite opens WAL files with NORMAL, which loses commits with the power.
  database.pragma('synchronous = FULL')
  database.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
  database.pragma(`journal_size_limit = ${LOG_LIMIT}`)
  database.function('instant_key', { deterministic: true }, (ts) => instantKey(String(ts)) ?? '')
  database.function('indexed_text', { deterministic: true }, (text) => indexedText(String(text)))
  return database
}

/** Kibibytes of pages that a bulk writer keeps, and pages of write-ahead log that it folds into the file at a time. */
const BULK_CACHE_KIB = 128 * 1024
const BULK_CHECKPOINT_PAGES = 16_000

/** Lets a connection meet pages of indexes, which come in no order, many times before they are written. */
export function preferBulk(database: Database.Database): void {
  database.pragma(`cache_size = -${BULK_CACHE_KIB}`)
  database.pragma(`wal_autocheckpoint = ${BULK_CHECKPOINT_PAGES}`)
}

/**
 * A connection that only reads. `contains_folded(text, needle)` tells whether the text has the folded needle;
 * `alive()` is always true. Both call `throwIfCancelled` for every row, which may throw: this build of SQLite can be
 * interrupted in no other way.
 */
export function openReader(path: string, throwIfCancelled: () => void): Database.Database {
  const database = new Database(path, { timeout: BUSY_TIMEOUT_MS, readonly: true })
  database.pragma(`cache_size = -${READER_CACHE_KIB}`)
  database.function('contains_folded', { deterministic: true }, (text, needle) => {
    throwIfCancelled()
    return typeof text === 'string' && fold(text).includes(String(needle)) ? 1 : 0
  })
  database.function('alive', () => {
    throwIfCancelled()
    return 1
  })
  return database
}
