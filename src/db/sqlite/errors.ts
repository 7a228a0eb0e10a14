import Database from 'better-sqlite3'
import { StoreCorruptError, StoreOpenError, StoreUnavailableError } from '../message-store.ts'

/**
 * Returns a predicate for SQLite errors with one of these primary result codes.
 * It also matches the extended codes of these. https://sqlite.org/rescode.html
 */
function hasCode(...codes: string[]): (error: unknown) => boolean {
  const pattern = new RegExp(`^SQLITE_(${codes.join('|')})(_|$)`)
  return (error) => error instanceof Database.SqliteError && pattern.test(error.code)
}

const isCorruptFile = hasCode('CORRUPT', 'NOTADB')
const isTransient = hasCode(
  'BUSY',
  'LOCKED',
  'FULL',
  'IOERR',
  'READONLY',
  'CANTOPEN',
  'NOMEM',
  'PROTOCOL',
)

/** Whether another connection holds a lock. */
export const isLocked = hasCode('BUSY', 'LOCKED')

/**
 * Whether the disk is full.
 * SQLite reports `FULL` for ENOSPC, and an I/O error for quotas and file size limits.
 */
export const isDiskFull = hasCode('FULL', 'IOERR')

/** Whether the database is corrupt. */
export function isCorruption(error: unknown): boolean {
  return error instanceof StoreCorruptError || isCorruptFile(error)
}

/** Whether the store is unavailable now and may be available later. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof StoreUnavailableError || isTransient(error)
}

/** Returns a failure in one line for the operator: `cannot <action>: <reason>`. */
export function describeFailure(action: string, cause: unknown): string {
  return `cannot ${action}: ${cause instanceof Error ? cause.message : String(cause)}`
}

/** Returns the error of a database that cannot be opened; see `describeFailure`. */
export function openError(action: string, cause: unknown): StoreOpenError {
  return new StoreOpenError(describeFailure(action, cause), { cause })
}
