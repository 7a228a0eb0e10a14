import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError, type DatabaseAddress, loadConfig } from '../config.ts'
import { describeDatabase } from '../db/describe.ts'
import type { MessageStore, ProgressListener } from '../db/message-store.ts'
import { openStore } from '../db/open.ts'
import { ProgressBar } from './progress.ts'

/**
 * Milliseconds between transactions of a command.
 * They are longer than SQLite's busy handler sleeps between attempts (up to 20 ms), so that a running service finds the
 * database unlocked.
 */
const PAUSE_MS = 30

/** Pauses between transactions, so that a process that waits for the lock can get it. */
export function yieldLock(): Promise<void> {
  return delay(PAUSE_MS)
}

/** Option of every command. */
export interface DevelopmentOption {
  /** Whether settings that are not set have their development defaults. */
  dev?: boolean | undefined
}

/**
 * Returns the database of a command, and prints it on standard error.
 * @throws ConfigError, also if the database is a private temporary file.
 */
export function bulkDatabase({ dev = false }: DevelopmentOption): DatabaseAddress {
  const { database } = loadConfig({ development: dev })
  if (database.kind === 'sqlite' && database.path === undefined) {
    throw new ConfigError('DATABASE_URL: expected a file or a PostgreSQL database')
  }
  process.stderr.write(`database: ${describeDatabase(database)}\n`)
  return database
}

/** Returns the database like `bulkDatabase`, if its file exists. @throws ConfigError if not. */
export function existingDatabase(options: DevelopmentOption): DatabaseAddress {
  const database = bulkDatabase(options)
  if (database.kind === 'sqlite' && !existsSync(database.path ?? '')) {
    throw new ConfigError(`DATABASE_URL: there is no file ${database.path}`)
  }
  return database
}

/** Returns the file of a SQLite database. @throws Error with the given message for a PostgreSQL database. */
export function sqliteFile(options: DevelopmentOption, onPostgres: string): string {
  const database = bulkDatabase(options)
  if (database.kind === 'postgres') throw new Error(onPostgres)
  return database.path ?? ''
}

/** Runs work that updates counters and indexes, with a progress bar and pauses for other writers. */
export async function indexing<Result>(
  work: (onProgress: ProgressListener) => Promise<Result>,
): Promise<Result> {
  const bar = new ProgressBar('indexing', 'messages')
  try {
    return await work((left) => {
      bar.updateRemaining(left)
      return yieldLock()
    })
  } finally {
    bar.end()
  }
}

/** Opens the store for bulk writes, and brings its indexes up to date. @throws StoreOpenError */
export function openForBulk(database: DatabaseAddress): Promise<MessageStore> {
  // The defaults of development do not matter: the setting has the same default.
  const { backupBeforeMigration } = loadConfig({ development: true })
  const onBackup = (path: string) => process.stderr.write(`backup before the migration: ${path}\n`)
  return indexing((onProgress) =>
    openStore(database, { onProgress, bulk: true, backupBeforeMigration, onBackup }),
  )
}
