import { sql } from 'kysely'
import { ALL_COLUMNS } from '../../message/columns.ts'
import { isRestrictive, isUnindexed } from '../../message/filter.ts'
import type { NewMessage } from '../../message/message.ts'
import {
  type AppendOutcome,
  type FeedQuery,
  type MessageStore,
  type PageQuery,
  type ProgressListener,
  StoreOpenError,
  StoreUnavailableError,
  type TimelineQuery,
  type WarningListener,
} from '../message-store.ts'
import { isSlowSenderQuery, type SenderQuery } from '../sender-query.ts'
import { append } from './append.ts'
import { measure } from './database-size.ts'
import { errorMessage } from './errors.ts'
import { PostgresMessageRemoval } from './message-removal.ts'
import { migrate } from './migrations/migrate.ts'
import type { Pool, Session } from './pool.ts'
import { createPools, type PoolOptions, type Pools } from './pools.ts'
import { feed, feedEnd } from './queries/feed.ts'
import { startEpochIfRestored } from './queries/feed-order.ts'
import { page } from './queries/page.ts'
import { senders } from './queries/senders.ts'
import { stats } from './queries/stats.ts'
import { timeline } from './queries/timeline.ts'
import { Readiness } from './readiness.ts'
import { PostgresRejectedBodies } from './rejected-bodies.ts'
import { Rollup } from './rollup.ts'
import { inSnapshot } from './snapshot.ts'
import { TextIndex } from './text-index.ts'

/** Milliseconds for a batch, throttling included. */
const APPEND_TIMEOUT_MS = 3500

/** Milliseconds for a message from its arrival: senders are promised a response within 5 s. */
const MESSAGE_TIMEOUT_MS = 4000

/** Minimum milliseconds for a batch; also the limit while the database is known to be unavailable. */
const MIN_APPEND_TIMEOUT_MS = 500

/** Maximum milliseconds that a batch is throttled while too many messages are pending. */
const THROTTLE_TIMEOUT_MS = 1000

/**
 * Minimum waiting messages for a batch to run concurrently with another.
 * A statement costs about 0.25 ms of processor time regardless of its size: with 64 senders, batches of 30 cost a fifth
 * less per message than batches of 10.
 */
const MIN_CONCURRENT_BATCH = 32

/** New messages of one import after which the planner's statistics are updated. */
const ANALYZE_AFTER_MESSAGES = 10_000

/** Milliseconds for measuring the database. */
const SIZE_TIMEOUT_MS = 1000

/** Options of a store, except those of its connections. */
export interface PostgresStoreOptions {
  /** Whether work has no time limit, as for the command line. */
  unlimited: boolean
  /** Called with warnings for the operator. */
  onWarning?: WarningListener | undefined
}

/** A message store in a PostgreSQL database, which any number of stores may share. */
export class PostgresStore implements MessageStore {
  readonly #pools: Pools
  readonly #unlimited: boolean
  readonly #rollup: Rollup
  readonly #readiness: Readiness
  readonly #textIndex: TextIndex
  readonly rejected: PostgresRejectedBodies
  readonly removal: PostgresMessageRemoval
  /** Whether the last batch failed because the database was unavailable, and no check has passed since. */
  #unavailable = false
  #created = 0

  private constructor(pools: Pools, { unlimited, onWarning }: PostgresStoreOptions) {
    this.#pools = pools
    this.#unlimited = unlimited
    this.#rollup = new Rollup(pools.maintenance, unlimited)
    this.#readiness = new Readiness(pools.maintenance)
    this.#textIndex = new TextIndex(pools.longRunning, onWarning)
    this.removal = new PostgresMessageRemoval(pools, this.#rollup)
    this.rejected = new PostgresRejectedBodies(pools)
  }

  /** Opens the database at a `postgres://` URL and migrates it. @throws StoreOpenError */
  static open(url: string, options: PostgresStoreOptions & PoolOptions): Promise<PostgresStore> {
    return PostgresStore.openOn(createPools(url, options), options)
  }

  /**
   * Opens the database of existing pools, which the store then owns, and migrates it.
   * @throws StoreOpenError
   */
  static async openOn(pools: Pools, options: PostgresStoreOptions): Promise<PostgresStore> {
    const store = new PostgresStore(pools, options)
    try {
      await pools.longRunning.run(prepare)
      store.#rollup.start()
      store.#textIndex.start()
      return store
    } catch (error) {
      await store.close()
      throw new StoreOpenError(`cannot open ${pools.name}: ${errorMessage(error)}`, {
        cause: error,
      })
    }
  }

  get batching(): MessageStore['batching'] {
    return { concurrency: this.#pools.concurrency, minConcurrentBatch: MIN_CONCURRENT_BATCH }
  }

  get status() {
    return { backlog: this.#rollup.backlog, walBytes: 0 }
  }

  async append(batch: readonly NewMessage[], waitedMs = 0): Promise<AppendOutcome[]> {
    const timeoutMs = this.#unavailable
      ? MIN_APPEND_TIMEOUT_MS
      : Math.min(APPEND_TIMEOUT_MS, Math.max(MIN_APPEND_TIMEOUT_MS, MESSAGE_TIMEOUT_MS - waitedMs))
    const deadline = performance.now() + timeoutMs
    await this.#rollup.throttle(Math.min(THROTTLE_TIMEOUT_MS, timeoutMs / 2))
    try {
      const { outcomes, created } = await this.#pools.ingest.run(
        (session) => append(session, batch),
        { timeoutMs: this.#unlimited ? undefined : deadline - performance.now() },
      )
      this.#unavailable = false
      this.#created += created
      this.#rollup.backlog += created
      return outcomes
    } catch (error) {
      this.#unavailable = error instanceof StoreUnavailableError
      this.#readiness.requireTrial()
      throw error
    }
  }

  page(query: PageQuery, signal?: AbortSignal) {
    // Such reads may scan every message, and must not occupy the connections of quick reads.
    const slow = query.q || isUnindexed(query)
    const pool = slow ? this.#pools.searches : this.#pools.reads
    return this.#readSnapshot(pool, (session) => page(session, query), signal)
  }

  /** Returns undefined: only ids in an adopted SQLite file can be too long for a cursor. */
  async findPosition() {
    return undefined
  }

  stats(signal?: AbortSignal) {
    return this.#readSnapshot(this.#pools.reads, stats, signal)
  }

  timeline(query: TimelineQuery, signal?: AbortSignal) {
    // Counters cover all messages; those of one sender are counted row by row.
    const pool = query.from === undefined ? this.#pools.reads : this.#pools.searches
    return this.#readSnapshot(pool, (session) => timeline(session, query), signal)
  }

  senders(query: SenderQuery, signal?: AbortSignal) {
    const pool = isSlowSenderQuery(query) ? this.#pools.searches : this.#pools.reads
    return this.#readSnapshot(pool, (session) => senders(session, query), signal)
  }

  message(id: string, signal?: AbortSignal) {
    const find = (session: Session) =>
      session
        .selectFrom('messages')
        .select(ALL_COLUMNS)
        .where('message_id', '=', id)
        .executeTakeFirst()
    return this.#pools.reads.run(find, { signal })
  }

  feed(query: FeedQuery, signal?: AbortSignal) {
    const pool = isRestrictive(query.filter) ? this.#pools.searches : this.#pools.reads
    return this.#readSnapshot(pool, (session) => feed(session, query), signal)
  }

  feedEnd(signal?: AbortSignal) {
    return this.#readSnapshot(this.#pools.reads, feedEnd, signal)
  }

  #readSnapshot<Result>(
    pool: Pool,
    read: (session: Session) => Promise<Result>,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    return pool.run((session) => inSnapshot(session, read), { signal })
  }

  catchUp(onProgress?: ProgressListener): Promise<void> {
    return this.#rollup.catchUp(onProgress)
  }

  get pools() {
    const { ingest, reads, searches, maintenance } = this.#pools
    return {
      ingest: ingest.usage,
      reads: reads.usage,
      searches: searches.usage,
      maintenance: maintenance.usage,
    }
  }

  size() {
    return this.#pools.maintenance.run(measure, { timeoutMs: SIZE_TIMEOUT_MS })
  }

  async ready(): Promise<void> {
    await this.#readiness.check()
    this.#unavailable = false
  }

  async close(): Promise<void> {
    this.#rollup.stop()
    this.#textIndex.stop()
    const { ingest, reads, searches, longRunning, maintenance } = this.#pools
    // Without it, the planner would assume a small table until autovacuum has analyzed it.
    if (this.#unlimited && this.#created > ANALYZE_AFTER_MESSAGES) {
      await longRunning.run(analyze).catch(() => {})
    }
    await ingest.close(APPEND_TIMEOUT_MS)
    await Promise.all([reads, searches, longRunning, maintenance].map((pool) => pool.close(0)))
  }
}

/** Checks the encoding of the database, migrates it, and prepares the feed. */
async function prepare(session: Session): Promise<void> {
  const { encoding } = await session
    .selectNoFrom((eb) =>
      eb.fn<string>('current_setting', [eb.val('server_encoding')]).as('encoding'),
    )
    .executeTakeFirstOrThrow()
  if (encoding !== 'UTF8') throw new Error(`its encoding is ${encoding}; expected UTF8`)
  await migrate(session)
  await startEpochIfRestored(session)
}

async function analyze(session: Session): Promise<void> {
  await sql`vacuum (analyze) messages, senders, minutes, pending_batches`.execute(session)
}
