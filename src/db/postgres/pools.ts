import pg, { type ClientBase, type PoolConfig } from 'pg'
import { type PostgresAddress, readAddress } from './address.ts'
import { PREPARED } from './append.ts'
import { cancelRequest } from './cancel-request.ts'
import { PgPool, type Pool } from './pool.ts'
import { applySettings } from './session-settings.ts'

/** What a store talks to its database by. */
export interface Pools {
  /** Takes batches, each durable when it is answered. */
  ingest: Pool
  /** Answers quick questions. */
  reads: Pool
  /** Answers questions that may take long. */
  searches: Pool
  /** Does what takes as long as it takes: scans, and building an index. */
  longRunning: Pool
  /** Counts and probes. */
  maintenance: Pool
  /** Batches that may be under way at once. */
  concurrency: number
  /** Where the database is, for messages. */
  name: string
}

/** How connections are made. */
export interface PoolOptions {
  /** For the command line: nothing is cut off. */
  unlimited: boolean
  /** Milliseconds that a question may take, after which the server itself ends it. */
  readTimeoutMs: number
}

/** Milliseconds to connect, to find a free connection, and for the server to store a batch. */
const CONNECT_TIMEOUT_MS = 3000
const STATEMENT_TIMEOUT_MS = 4000

/** Milliseconds after which a connection that nobody needs is given back. */
const IDLE_TIMEOUT_MS = 5 * 60_000

/** Milliseconds after which a silent connection is asked whether it is still there. */
const KEEPALIVE_MS = 10_000

/** Pools for what takes long, over and above the others: none is open without such work. */
const PATIENT = 2

/** Milliseconds for a cancel request, for which its connection stays open. */
const CANCEL_WITHIN_MS = 1000

const INT8 = pg.types.builtins.INT8

/** Counts are numbers here: none comes near 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (type, format) =>
    Number(type) === INT8 ? Number : pg.types.getTypeParser(type, format),
}

/** Makes the connections of a store, none of which is opened before it is needed. @throws StoreOpenError */
export function createPools(url: string, options: PoolOptions): Pools {
  const { config, shares, name }: PostgresAddress = readAddress(url)
  const { unlimited, readTimeoutMs } = options
  const settings = (max: number, statementMs: number): PoolConfig => ({
    application_name: 'lyftr-webhook',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MS,
    ...config,
    types,
    max,
    onConnect: async (client) => {
      const limits = { statementMs: unlimited ? 0 : statementMs, lockMs: config.lock_timeout ?? 0 }
      await applySettings(client, limits, CONNECT_TIMEOUT_MS)
    },
  })
  const cancel = (client: ClientBase) => cancelRequest(client, CANCEL_WITHIN_MS)
  const pool = (config: PoolConfig): Pool => new PgPool(config, cancel, PREPARED)
  // Whoever asks gives up after its time, also while it waits for a connection.
  const reading = (max: number): Pool =>
    pool({
      ...settings(max, readTimeoutMs + 1000),
      connectionTimeoutMillis: Math.max(readTimeoutMs, CONNECT_TIMEOUT_MS),
    })
  return {
    ingest: pool(settings(shares.ingest, STATEMENT_TIMEOUT_MS)),
    reads: reading(shares.answers),
    searches: reading(shares.searches),
    longRunning: pool(settings(PATIENT, 0)),
    maintenance: pool(settings(shares.upkeep, STATEMENT_TIMEOUT_MS)),
    concurrency: shares.ingest,
    name,
  }
}
