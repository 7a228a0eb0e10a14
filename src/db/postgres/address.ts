import type { ClientConfig } from 'pg'
import { parseIntoClientConfig } from 'pg-connection-string'
import { StoreOpenError } from '../message-store.ts'
import { readTls } from './tls.ts'

/** Number of connections of each pool. */
export interface PoolSizes {
  /** Concurrent batches. */
  ingest: number
  /** Quick reads. */
  reads: number
  /** Reads that may take long. */
  searches: number
  /** Readiness checks, rollups and measurements. */
  maintenance: number
}

/** Result of parsing the URL of a PostgreSQL database. */
export interface PostgresAddress {
  /** Options for the driver, the password included. */
  config: ClientConfig
  poolSizes: PoolSizes
  /** URL for error messages, without user, password and options. */
  name: string
}

/** Number of connections if the URL has no `max`; the default of the driver. */
const DEFAULT_MAX = 10

/** Minimum of `max`: two connections for maintenance, and one for each other pool. */
const MIN_MAX = 5

/** Connections for maintenance: two, so that readiness checks do not wait for rollups. */
const MAINTENANCE = 2

/** Numeric options of the driver, whose values in a URL are strings. */
const NUMBERS = [
  'max',
  'min',
  'idleTimeoutMillis',
  'connectionTimeoutMillis',
  'maxUses',
  'maxLifetimeSeconds',
  'lock_timeout',
  'query_timeout',
  'keepAliveInitialDelayMillis',
]

/** Divides the connections among the pools. */
function divide(max: number): PoolSizes {
  const ingest = Math.max(1, Math.floor(max * 0.3))
  const searches = Math.max(1, Math.floor(max * 0.3))
  return {
    ingest,
    searches,
    maintenance: MAINTENANCE,
    reads: max - ingest - searches - MAINTENANCE,
  }
}

/**
 * Parses a `postgres://` URL, with the options of the driver, of its pool and of TLS.
 * @throws StoreOpenError with a message of one line that does not contain the password.
 */
export function readAddress(url: string): PostgresAddress {
  const { url: withoutTls, ...tls } = readTls(url)
  let config: ClientConfig & Record<string, unknown>
  try {
    config = { ...parseIntoClientConfig(withoutTls), ...tls }
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? `: ${error.code}` : ''
    throw new StoreOpenError(`not a URL that the PostgreSQL driver accepts${reason}`)
  }
  for (const option of NUMBERS) {
    if (config[option] === undefined) continue
    const value = Number(config[option])
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new StoreOpenError(`expected a whole number for ${option}, found ${config[option]}`)
    }
    config[option] = value
  }
  const { max = DEFAULT_MAX, ...rest } = config
  if (Number(max) < MIN_MAX) {
    throw new StoreOpenError(`expected max to be ${MIN_MAX} connections or more, found ${max}`)
  }
  const host = [config.host || 'localhost', config.port].filter(Boolean).join(':')
  return {
    config: rest,
    poolSizes: divide(Number(max)),
    name: `postgres://${host}/${config.database ?? ''}`,
  }
}
