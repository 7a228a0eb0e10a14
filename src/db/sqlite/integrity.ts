import Database from 'better-sqlite3'
import { StoreCorruptError } from '../message-store.ts'

/** Whether it failed because the file holds what no database can. */
export function isCorruption(error: unknown): boolean {
  if (error instanceof StoreCorruptError) return true
  return error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)(_|$)/.test(error.code)
}
