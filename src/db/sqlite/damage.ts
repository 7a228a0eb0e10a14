import { statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { StoreDamagedError } from '../store.ts'

/** A file up to this many bytes is read as a whole at every start, which takes some tenths of a second. */
const CHECKED_AT_START = 64 * 1024 * 1024

/** Whether it failed because the file holds what no database can. */
export function isDamage(error: unknown): boolean {
  if (error instanceof StoreDamagedError) return true
  return error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)(_|$)/.test(error.code)
}

/**
 * Looks for damage without writing a byte, before anything else opens the file: opening it to write may change it.
 * A file too large to be read at every start is only looked at where its structure begins.
 * @throws StoreDamagedError
 */
export function assertSound(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size === 0) return
  let database: Database.Database | undefined
  try {
    database = new Database(path, { readonly: true })
    const { count } = database
      .prepare<[], { count: number }>('select count(*) as count from sqlite_schema')
      .get() ?? { count: 0 }
    if (count === 0 || size > CHECKED_AT_START) return
    const found = database.pragma('quick_check(1)', { simple: true })
    if (found !== 'ok') throw new StoreDamagedError(String(found).replaceAll('\n', ' '))
  } catch (error) {
    // Whatever else is wrong is met again, and told, by whoever opens it to write.
    if (!(error instanceof Error) || !isDamage(error)) return
    throw new StoreDamagedError(
      `it is damaged (${error.message}) and was left as it is; restore it from a backup`,
    )
  } finally {
    database?.close()
  }
}
