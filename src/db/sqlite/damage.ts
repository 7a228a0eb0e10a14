import Database from 'better-sqlite3'
import { StoreDamagedError } from '../store.ts'

/** Whether it failed because the file holds what no database can. */
export function isDamage(error: unknown): boolean {
  if (error instanceof StoreDamagedError) return true
  return error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)(_|$)/.test(error.code)
}
