import type { ClientConfig } from 'pg'
import { parseIntoClientConfig } from 'pg-connection-string'
import { StoreOpenError } from '../message-store.ts'
import { readTls } from './tls.ts'

/** Pools of one store, by what they are for: nobody waits for somebody else's work. */
export interface Shares {
  /** Batches under way at once. */
  ingest: number
  /** Questions that are answered quickly. */
  answers: number
  /** Searches and scans. */
  searches: number
  /** Readiness and counting. */
  upkeep: number
}

/** Where a PostgreSQL database is and how to talk to it, as a URL told. */
export interface PostgresAddress {
  /** For the driver; holds the password. */
  config: ClientConfig
  shares: Shares
  /** Where it is, for messages: without the user and the password. */
  name: string
}

/** Pools where the URL has no `max`, the driver's own default. */
const DEFAULT_MAX = 10

/** Fewer would leave a kind of work without a connection of its own. */
const LEAST_MAX = 5

/** A readiness check does not wait until somebody has counted. */
const UPKEEP = 2

/** Options of the driver that are numbers: a URL only has texts. */
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

/** @returns the shares of so many connections; what is left over answers. */
function share(max: number): Shares {
  const ingest = Math.max(1, Math.floor(max * 0.3))
  const searches = Math.max(1, Math.floor(max * 0.3))
  return { ingest, searches, upkeep: UPKEEP, answers: max - ingest - searches - UPKEEP }
}

/**
 * Reads a `postgres://` URL with the options of the driver, the pool's and TLS included.
 * @throws StoreOpenError in one line that repeats no password.
 */
export function readAddress(url: string): PostgresAddress {
  const { url: withoutTls, ...tls } = readTls(url)
  let config: ClientConfig & Record<string, unknown>
  try {
    config = { ...parseIntoClientConfig(withoutTls), ...tls }
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? `: ${error.code}` : ''
    throw new StoreOpenError(`not a URL that the PostgreSQL driver understands${reason}`)
  }
  for (const option of NUMBERS) {
    if (config[option] === undefined) continue
    const value = Number(config[option])
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new StoreOpenError(`expected a number for ${option}, found ${config[option]}`)
    }
    config[option] = value
  }
  const { max = DEFAULT_MAX, ...rest } = config
  if (Number(max) < LEAST_MAX) {
    throw new StoreOpenError(`expected max to be ${LEAST_MAX} connections or more, found ${max}`)
  }
  const place = [config.host || 'localhost', config.port].filter(Boolean).join(':')
  return {
    config: rest,
    shares: share(Number(max)),
    name: `postgres://${place}/${config.database ?? ''}`,
  }
}
