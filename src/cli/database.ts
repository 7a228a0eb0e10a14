import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError, loadConfig } from '../config.ts'
import { SqliteStore } from '../db/sqlite/store.ts'
import { ProgressBar } from './progress.ts'

/** A service looks for the lock every 20 ms at least: between transactions that follow at once it would hardly find it. */
const PAUSE_MS = 30

/** Resolves once whoever waits for the lock on the file has had the time to take it. */
export function leaveLock(): Promise<void> {
  return delay(PAUSE_MS)
}

/** The file that DATABASE_URL names; a private temporary one is of no use to a command. @throws ConfigError */
export function databasePath(): string {
  const { sqlitePath } = loadConfig({ development: false })
  if (sqlitePath === undefined) throw new ConfigError('DATABASE_URL: expected a file')
  return sqlitePath
}

/** The same for what only reads, and so must not make the file. @throws ConfigError when there is none. */
export function existingDatabasePath(): string {
  const path = databasePath()
  if (!existsSync(path)) throw new ConfigError(`DATABASE_URL: there is no file ${path}`)
  return path
}

/** Opens the store to do very much at once; shows how what is behind is derived. @throws StoreOpenError */
export async function openForBulk(path: string): Promise<SqliteStore> {
  const bar = new ProgressBar('indexing')
  try {
    const showLeft = (left: number): Promise<void> => {
      bar.left(left)
      return leaveLock()
    }
    return await SqliteStore.open(path, showLeft, { bulk: true })
  } finally {
    bar.end()
  }
}
