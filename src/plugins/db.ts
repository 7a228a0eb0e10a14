import client from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { type Config, ConfigError } from '../config.ts'
import { describeDatabase } from '../db/describe.ts'
import {
  type MessageStore,
  StoreCorruptError,
  StoreOpenError,
  type StoreSize,
} from '../db/message-store.ts'
import { openStore } from '../db/open.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The store of the configured database. */
    store: MessageStore
  }
}

/** Milliseconds between two measurements of the store's size. */
const MEASURE_INTERVAL_MS = 15_000

/** Milliseconds between two lines of progress during a long start. */
const PROGRESS_INTERVAL_MS = 2000

/** The settings of the database. */
type DbOptions = Pick<Config, 'database' | 'backupBeforeMigration' | 'readTimeoutMs'>

/** Opens the store. @throws ConfigError if the database cannot be opened. */
async function open(
  { log }: FastifyInstance,
  { database, backupBeforeMigration, readTimeoutMs }: DbOptions,
): Promise<MessageStore> {
  log.info({ database: describeDatabase(database) }, 'opening the database')
  let reported = performance.now()
  try {
    return await openStore(database, {
      onProgress(left) {
        if (performance.now() - reported < PROGRESS_INTERVAL_MS) return
        reported = performance.now()
        log.info({ left }, 'bringing counters and indexes up to date before the service starts')
      },
      onWarning: (message, details) => log.warn(details, message),
      onFailure: (cause) =>
        log.error(
          { cause },
          cause instanceof StoreCorruptError
            ? 'the database is corrupt: the service accepts no more messages and stays not ready; restore the file'
            : 'a file of the open database was removed or replaced: nothing is stored or read until a restart',
        ),
      onBackup: (file) => log.info({ file }, 'backed up the database before its migration'),
      backupBeforeMigration,
      readTimeoutMs,
    })
  } catch (error) {
    if (!(error instanceof StoreOpenError)) throw error
    throw new ConfigError(`DATABASE_URL: ${error.message}`, { cause: error })
  }
}

/** Returns the Unix time of a timestamp in seconds; 0 for null. */
function toSeconds(at: string | null | undefined): number | undefined {
  if (at === undefined) return undefined
  return at === null ? 0 : Date.parse(at) / 1000
}

/** Logs the age of the last backup. */
function logLastBackup({ log }: FastifyInstance, lastBackup: string | null | undefined): void {
  if (lastBackup === undefined) return
  if (lastBackup === null) log.info('no backup of the database is recorded')
  else {
    const ageHours = Math.round((Date.now() - Date.parse(lastBackup)) / 360_000) / 10
    log.info({ last_backup: lastBackup, age_hours: ageHours }, 'last backup of the database')
  }
}

/**
 * Registers the metrics of the store.
 * @param size returns the last measured size; undefined before the first measurement.
 */
function registerMetrics(
  { registry, store }: FastifyInstance,
  size: () => StoreSize | undefined,
): void {
  const gauges: [name: string, help: string, value: () => number | undefined][] = [
    [
      'store_backlog_messages',
      'Committed messages that are not in the counters and indexes yet.',
      () => store.status.backlog,
    ],
    [
      'store_wal_bytes',
      'Size of the write-ahead log at the last commit.',
      () => store.status.walBytes,
    ],
    ['store_messages', 'Messages stored. Measured every 15 seconds.', () => size()?.messages],
    [
      'store_database_bytes',
      'Size of the database, including the write-ahead log. Measured every 15 seconds.',
      () => size()?.databaseBytes,
    ],
    [
      'store_disk_free_bytes',
      'Bytes left on the disk of the database file. Measured every 15 seconds.',
      () => size()?.freeBytes,
    ],
    [
      'store_last_backup_timestamp_seconds',
      'Unix time of the last backup of the SQLite file by the command line; 0 if there is none.',
      () => toSeconds(size()?.lastBackup),
    ],
  ]
  for (const [name, help, read] of gauges) {
    new client.Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const value = read()
        if (value === undefined) this.remove()
        else this.set(value)
      },
    })
  }
  new client.Gauge({
    name: 'postgres_pool_connections',
    help: 'Connections of each pool, total and idle, and callers that wait for one.',
    labelNames: ['pool', 'state'],
    registers: [registry],
    collect() {
      for (const [pool, usage] of Object.entries(store.pools)) {
        for (const [state, count] of Object.entries(usage)) this.set({ pool, state }, count)
      }
    },
  })
}

/** Opens the store before the service listens, and closes it after the last response. */
async function db(app: FastifyInstance, options: DbOptions): Promise<void> {
  const store = await open(app, options)
  app.decorate('store', store)

  // On a timer, so that a scrape never waits for the database.
  let size: StoreSize | undefined
  const measure = async (): Promise<void> => {
    const previous = size?.lastBackup
    size = await store.size().catch(() => size)
    if (size?.lastBackup !== previous) logLastBackup(app, size?.lastBackup)
  }
  await measure()
  const timer = setInterval(measure, MEASURE_INTERVAL_MS).unref()
  app.addHook('onClose', async () => {
    clearInterval(timer)
    await store.close()
  })
  registerMetrics(app, () => size)
}

export default fp(db, { name: 'db', dependencies: ['metrics'] })
