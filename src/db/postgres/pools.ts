import pg, { type ClientBase, type PoolConfig } from 'pg'
import { readAddress } from './address.ts'
import { PREPARED } from './append.ts'
import { cancelRequest } from './cancel-request.ts'
import { PgPool, type Pool } from './pool.ts'
import { applySettings } from './session-settings.ts'

/** Connection pools of a store, one for each kind of work. */
export interface Pools {
  /** Batches of messages. */
  ingest: Pool
  /** Quick reads. */
  reads: Pool
  /** Reads that may take long: by text or recipient. */
  searches: Pool
  /** Work without a time limit: migrations, scans, index builds. */
  longRunning: Pool
  /** Rollups, readiness checks and measurements. */
  maintenance: Pool
  /** Maximum number of concurrent batches. */
  concurrency: number
  /** URL of the database for error messages, without user, password and options. */
  name: string
}

/** Options of the pools. */
export interface PoolOptions {
  /** Whether statements have no time limit, as for the command line. */
  unlimited: boolean
  /** Milliseconds for a read. The caller cancels it then; the server ends it one second later. */
  readTimeoutMs: number
}

/** Milliseconds to connect, or to wait for a free connection. */
const CONNECT_TIMEOUT_MS = 3000

/** Milliseconds for a statement that is not a read. */
const STATEMENT_TIMEOUT_MS = 4000

/** Milliseconds after which an idle connection is closed. */
const IDLE_TIMEOUT_MS = 5 * 60_000

/** Milliseconds without traffic after which TCP keepalive probes are sent. */
const KEEPALIVE_MS = 10_000

/** Connections of the long-running pool, in addition to `max`; opened only when needed. */
const LONG_RUNNING = 2

/** Milliseconds for a cancel request, during which the connection stays open. */
const CANCEL_TIMEOUT_MS = 1000

const INT8 = pg.types.builtins.INT8

/** Parses bigints as numbers: no count comes near 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (type, format) =>
    Number(type) === INT8 ? Number : pg.types.getTypeParser(type, format),
}

/**
 * Creates the pools of a store, which open connections when needed.
 * @throws StoreOpenError if the URL is invalid.
 */
export function createPools(url: string, options: PoolOptions): Pools {
  const { config, poolSizes, name } = readAddress(url)
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
  const cancel = (client: ClientBase) => cancelRequest(client, CANCEL_TIMEOUT_MS)
  const pool = (config: PoolConfig): Pool => new PgPool(config, cancel, PREPARED)
  // Reads may spend their whole time limit waiting for a connection.
  const reading = (max: number): Pool =>
    pool({
      ...settings(max, readTimeoutMs + 1000),
      connectionTimeoutMillis: Math.max(readTimeoutMs, CONNECT_TIMEOUT_MS),
    })
  return {
    ingest: pool(settings(poolSizes.ingest, STATEMENT_TIMEOUT_MS)),
    reads: reading(poolSizes.reads),
    searches: reading(poolSizes.searches),
    longRunning: pool(settings(LONG_RUNNING, 0)),
    maintenance: pool(settings(poolSizes.maintenance, STATEMENT_TIMEOUT_MS)),
    concurrency: poolSizes.ingest,
    name,
  }
}
