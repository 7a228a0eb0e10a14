import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError, type DatabaseAddress, loadConfig } from '../config.ts'
import { describeDatabase } from '../db/describe.ts'
import type { MessageStore, ProgressListener } from '../db/message-store.ts'
import { openStore } from '../db/open.ts'
import { ProgressBar } from './progress.ts'

/** A service looks for the lock every 20 ms at least: between transactions that follow at once it would hardly find it. */
const PAUSE_MS = 30

/** Resolves once whoever waits for the lock on the file has had the time to take it. */
export function leaveLock(): Promise<void> {
  return delay(PAUSE_MS)
}

/** The option that every command takes. */
export interface DevelopmentOption {
  /** Whether settings that are not set have the values for development. */
  dev?: boolean | undefined
}

/**
 * Returns the database that a command works on, and prints which one it is on standard error. A private temporary file
 * is of no use to a command. @throws ConfigError
 */
export function bulkDatabase({ dev = false }: DevelopmentOption): DatabaseAddress {
  const { database } = loadConfig({ development: dev })
  if (database.kind === 'sqlite' && database.path === undefined) {
    throw new ConfigError('DATABASE_URL: expected a file or a PostgreSQL database')
  }
  process.stderr.write(`database: ${describeDatabase(database)}\n`)
  return database
}

/** The same for commands that only read and must not create the file. @throws ConfigError if there is none. */
export function existingDatabase(options: DevelopmentOption): DatabaseAddress {
  const database = bulkDatabase(options)
  if (database.kind === 'sqlite' && !existsSync(database.path ?? '')) {
    throw new ConfigError(`DATABASE_URL: there is no file ${database.path}`)
  }
  return database
}

/** Runs what brings counters and indexes up to date, and shows how far it is. */
export async function indexing<Result>(
  work: (onProgress: ProgressListener) => Promise<Result>,
): Promise<Result> {
  const bar = new ProgressBar('indexing', 'messages')
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
