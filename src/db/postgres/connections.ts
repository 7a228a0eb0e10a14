import { sql } from 'kysely'
import pg, { type ClientBase, type PoolConfig } from 'pg'
import { type PostgresAddress, readAddress } from './address.ts'
import { PREPARED } from './append.ts'
import { type Lane, PoolLane, type Session } from './lane.ts'

/** What a store talks to its database by. */
export interface Connections {
  /** Takes batches, each durable when it is answered. */
  ingest: Lane
  /** Answers quick questions. */
  answers: Lane
  /** Answers questions that may take long. */
  searches: Lane
  /** Does what takes as long as it takes: scans, and building an index. */
  patient: Lane
  /** Counts, probes, migrates and cancels. */
  upkeep: Lane
  /** Batches that may be under way at once. */
  concurrency: number
  /** Where the database is, for messages. */
  name: string
}

/** How connections are made. */
export interface ConnectionOptions {
  /** For the command line: nothing is cut off. */
  patient: boolean
  /** Milliseconds that a question may take, after which the server itself ends it. */
  readTimeoutMs: number
}

/** Milliseconds to connect, to find a free connection, and for the server to store a batch. */
const CONNECT_TIMEOUT_MS = 3000
const STATEMENT_TIMEOUT_MS = 4000

/** Milliseconds that an unfinished transaction may be left alone by an instance that has gone. */
const IDLE_TRANSACTION_TIMEOUT_MS = 30_000

/** Milliseconds after which a connection that nobody needs is given back. */
const IDLE_TIMEOUT_MS = 5 * 60_000

/** Milliseconds after which a silent connection is asked whether it is still there. */
const KEEPALIVE_MS = 10_000

/** Connections for what takes long, over and above the others: none is open without such work. */
const PATIENT = 2

/** Milliseconds for cancelling what was cut off. */
const CANCEL_WITHIN_MS = 2000

const INT8 = pg.types.builtins.INT8

/** Counts are numbers here: none comes near 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (type, format) =>
    Number(type) === INT8 ? Number : pg.types.getTypeParser(type, format),
}

/**
 * Said on each connection at first. Commits are on disk before they are acknowledged, whatever the server's default;
 * `remote_apply` is more, and stays. Compiling a plan would cost more than what is asked here. Time limits are ours,
 * also where there are none.
 */
const SETTINGS = `select
  set_config('synchronous_commit',
    case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, false),
  set_config('jit', 'off', false),
  set_config('statement_timeout', $1, false),
  set_config('idle_in_transaction_session_timeout', $2, false)`

/** Time limits of the server for a connection, in milliseconds; 0 for none. */
interface TimeLimits {
  statementMs: number
  idleTransactionMs: number
}

const UNLIMITED: TimeLimits = { statementMs: 0, idleTransactionMs: 0 }

/** Makes the connections of a store, none of which is opened before it is needed. @throws StoreOpenError */
export function connectTo(url: string, options: ConnectionOptions): Connections {
  const { config, shares, name }: PostgresAddress = readAddress(url)
  const { patient, readTimeoutMs } = options
  const limits = (statementMs: number): TimeLimits =>
    patient ? UNLIMITED : { statementMs, idleTransactionMs: IDLE_TRANSACTION_TIMEOUT_MS }
  const settings = (max: number, { statementMs, idleTransactionMs }: TimeLimits): PoolConfig => ({
    application_name: 'lyftr-webhook',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MS,
    ...config,
    types,
    max,
    onConnect: async (client) => {
      await client.query(SETTINGS, [String(statementMs), String(idleTransactionMs)])
    },
  })
  const cancel = (client: ClientBase): void => {
    const pid = 'processID' in client ? Number(client.processID) : 0
    const work = (session: Session) => sql`select pg_cancel_backend(${pid})`.execute(session)
    // Where the database is away there is nothing to cancel.
    upkeep.run(work, { withinMs: CANCEL_WITHIN_MS }).catch(() => {})
  }
  const lane = (config: PoolConfig): Lane => new PoolLane(config, cancel, PREPARED)
  // Whoever asks gives up after its time, also while it waits for a connection.
  const reading = (max: number): Lane =>
    lane({
      ...settings(max, limits(readTimeoutMs + 1000)),
      connectionTimeoutMillis: Math.max(readTimeoutMs, CONNECT_TIMEOUT_MS),
    })
  const upkeep = lane(settings(shares.upkeep, limits(STATEMENT_TIMEOUT_MS)))
  return {
    ingest: lane(settings(shares.ingest, limits(STATEMENT_TIMEOUT_MS))),
    answers: reading(shares.answers),
    searches: reading(shares.searches),
    patient: lane(settings(PATIENT, UNLIMITED)),
    upkeep,
    concurrency: shares.ingest,
    name,
  }
}
