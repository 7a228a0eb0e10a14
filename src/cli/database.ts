import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError, loadConfig } from '../config.ts'
import { type DatabaseAddress, openStore } from '../db/open.ts'
import type { MessageStore, ProgressListener } from '../db/store.ts'
import { ProgressBar } from './progress.ts'

/** A service looks for the lock every 20 ms at least: between transactions that follow at once it would hardly find it. */
const PAUSE_MS = 30

/** Resolves once whoever waits for the lock on the file has had the time to take it. */
export function leaveLock(): Promise<void> {
  return delay(PAUSE_MS)
}

/** What DATABASE_URL names; a private temporary file is of no use to a command. @throws ConfigError */
export function bulkDatabase(): DatabaseAddress {
  const { database } = loadConfig({ development: false })
  if (database.kind === 'sqlite' && database.path === undefined) {
    throw new ConfigError('DATABASE_URL: expected a file or a PostgreSQL database')
  }
  return database
}

/** The same for what only reads, and so must not make the file. @throws ConfigError when there is none. */
export function existingDatabase(): DatabaseAddress {
  const database = bulkDatabase()
  if (database.kind === 'sqlite' && !existsSync(database.path ?? '')) {
    throw new ConfigError(`DATABASE_URL: there is no file ${database.path}`)
  }
  return database
}

/** Runs what brings counters and indexes up to date, and shows how far it is. */
export async function indexing<Result>(
  work: (onProgress: ProgressListener) => Promise<Result>,
): Promise<Result> {
  const bar = new ProgressBar('indexing')
  try {
    return await work((left) => {
      bar.left(left)
      return leaveLock()
    })
  } finally {
    bar.end()
  }
}

/** Opens the store to do very much at once; shows how what is behind is derived. @throws StoreOpenError */
export function openForBulk(database: DatabaseAddress): Promise<MessageStore> {
  return indexing((onProgress) => openStore(database, { onProgress, bulk: true }))
}
