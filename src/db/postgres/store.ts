import { sql } from 'kysely'
import type { MessageFilter } from '../../message/filter.ts'
import { MESSAGE_COLUMNS, type StoredMessage } from '../../message/message.ts'
import {
  type AppendOutcome,
  type MessageStore,
  type PageQuery,
  type ProgressListener,
  StoreOpenError,
  type StoreSize,
  StoreUnavailableError,
  type WarningListener,
} from '../message-store.ts'
import { append } from './append.ts'
import { errorMessage } from './errors.ts'
import { migrate } from './migrations/migrate.ts'
import type { Pool, Session } from './pool.ts'
import { createPools, type PoolOptions, type Pools } from './pools.ts'
import { pushToAsyncGenerator } from './push-to-async-generator.ts'
import { countAll } from './queries/counts.ts'
import { page } from './queries/page.ts'
import { scan } from './queries/scan.ts'
import { stats } from './queries/stats.ts'
import { Readiness } from './readiness.ts'
import { Rollup } from './rollup.ts'
import { ensureTextIndex } from './text-index.ts'

/** Milliseconds for a batch, counting that it waits for included. */
const APPEND_WITHIN_MS = 3500

/** Milliseconds for a message, from its arrival to its answer: senders are told within 5 s. */
const MESSAGE_WITHIN_MS = 4000

/** Milliseconds for a batch while the database is known to be away. */
const APPEND_WITHIN_AWAY_MS = 500

/** Milliseconds that a batch waits at most for pending batches to be counted. */
const THROTTLE_MS = 1000

/**
 * Messages that make a batch worth sending beside another. A statement costs about 0.25 ms of processor time however few
 * messages it brings: with 64 senders, batches of 30 cost a fifth less a message than batches of 10.
 */
const BESIDE = 32

/** Messages of one import after which the database is told at once what it now holds. */
const MANY = 10_000

/** How long measuring the database may take, in milliseconds. */
const SIZE_WITHIN_MS = 1000

/** How often it is tried again to make the index of texts, in milliseconds. */
const INDEX_EVERY_MS = 60_000

/** How a store is opened. */
export interface PostgresStoreOptions {
  /** For the command line: nothing is cut off. */
  unlimited: boolean
  /** Hears what an operator should know. */
  onWarning?: WarningListener | undefined
}

/** Messages in a PostgreSQL database, which any number of stores may share. */
export class PostgresStore implements MessageStore {
  readonly #connections: Pools
  readonly #unlimited: boolean
  readonly #rollup: Rollup
  readonly #readiness: Readiness
  #indexTimer: NodeJS.Timeout | undefined
  #away = false
  #created = 0
  #warnedOfIndex = false
  readonly #onWarning: PostgresStoreOptions['onWarning']
  #closed = false

  private constructor(connections: Pools, options: PostgresStoreOptions) {
    this.#connections = connections
    this.#unlimited = options.unlimited
    this.#rollup = new Rollup(connections.maintenance, options.unlimited)
    this.#readiness = new Readiness(connections.maintenance)
    this.#onWarning = options.onWarning
  }

  /** Opens the database at a `postgres://` URL and brings its schema up to date. @throws StoreOpenError */
  static open(url: string, options: PostgresStoreOptions & PoolOptions): Promise<PostgresStore> {
    return PostgresStore.openOn(createPools(url, options), options)
  }

  /** The same over connections that are there already. */
  static async openOn(connections: Pools, options: PostgresStoreOptions): Promise<PostgresStore> {
    const store = new PostgresStore(connections, options)
    try {
      // Where no time limit cuts off a long migration.
      await connections.longRunning.run(prepare)
      store.#rollup.start()
      void store.#indexTexts()
      return store
    } catch (error) {
      await store.close()
      throw new StoreOpenError(`cannot open ${connections.name}: ${errorMessage(error)}`, {
        cause: error,
      })
    }
  }

  /** Batches are stored side by side, by as many connections. */
  get batching() {
    return { concurrency: this.#connections.concurrency, beside: BESIDE }
  }

  get status() {
    return { backlog: this.#rollup.backlog, walBytes: 0 }
  }

  async append(batch: readonly StoredMessage[], waitedMs = 0): Promise<AppendOutcome[]> {
    const withinMs = this.#away
      ? APPEND_WITHIN_AWAY_MS
      : Math.min(APPEND_WITHIN_MS, Math.max(APPEND_WITHIN_AWAY_MS, MESSAGE_WITHIN_MS - waitedMs))
    const deadline = performance.now() + withinMs
    await this.#rollup.throttle(Math.min(THROTTLE_MS, withinMs / 2))
    try {
      const { outcomes, created } = await this.#connections.ingest.run(
        (session) => append(session, batch),
        { withinMs: this.#unlimited ? undefined : deadline - performance.now() },
      )
      this.#away = false
      this.#created += created
      this.#rollup.backlog += created
      return outcomes
    } catch (error) {
      this.#away = error instanceof StoreUnavailableError
      this.#readiness.doubt()
      throw error
    }
  }

  page(query: PageQuery, signal?: AbortSignal) {
    // What may have to read every message must not hold up the rest.
    const slow = query.q || query.to !== undefined
    const pool = slow ? this.#connections.searches : this.#connections.reads
    return this.#snapshot(pool, (session) => page(session, query), signal)
  }

  /** Finds none: only adopted ids are too long for a cursor, and PostgreSQL adopts no table. */
  async findPosition() {
    return undefined
  }

  stats(signal?: AbortSignal) {
    return this.#snapshot(this.#connections.reads, stats, signal)
  }

  message(id: string, signal?: AbortSignal) {
    const find = (session: Session) =>
      session
        .selectFrom('messages')
        .select(MESSAGE_COLUMNS)
        .where('message_id', '=', id)
        .executeTakeFirst()
    return this.#connections.reads.run(find, { signal })
  }

  #snapshot<Result>(
    pool: Pool,
    read: (session: Session) => Promise<Result>,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    const inTransaction = (session: Session) =>
      session
        .transaction()
        .setIsolationLevel('repeatable read')
        .setAccessMode('read only')
        .execute(read)
    return pool.run(inTransaction, { signal })
  }

  scan(filter: MessageFilter) {
    return scanOver(this.#connections, filter)
  }

  catchUp(onProgress?: ProgressListener): Promise<void> {
    return this.#rollup.catchUp(onProgress)
  }

  /** Has the index of texts made, and tried again as long as it is not there; says once why it is not. */
  async #indexTexts(): Promise<void> {
    const index = await this.#connections.longRunning.run(ensureTextIndex).catch(() => undefined)
    if (this.#closed || index === 'there') return
    if (typeof index === 'object' && !this.#warnedOfIndex) {
      this.#warnedOfIndex = true
      this.#onWarning?.('searches have no index and read every text: pg_trgm is not to be had', {
        cause: index.missing,
      })
    }
    this.#indexTimer = setTimeout(() => void this.#indexTexts(), INDEX_EVERY_MS)
    this.#indexTimer.unref()
  }

  get pools() {
    const { ingest, reads, searches, maintenance } = this.#connections
    return {
      ingest: ingest.usage,
      reads: reads.usage,
      searches: searches.usage,
      maintenance: maintenance.usage,
    }
  }

  size(): Promise<StoreSize> {
    return this.#connections.maintenance.run(measure, { withinMs: SIZE_WITHIN_MS })
  }

  async ready(): Promise<void> {
    await this.#readiness.check()
    this.#away = false
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#rollup.stop()
    clearTimeout(this.#indexTimer)
    const { ingest, reads, searches, longRunning, maintenance } = this.#connections
    // Until statistics tell of so many new messages, questions would be planned as if there were few.
    if (this.#unlimited && this.#created > MANY)
      await longRunning.run(gatherStatistics).catch(() => {})
    await ingest.close(APPEND_WITHIN_MS)
    await Promise.all([reads, searches, longRunning, maintenance].map((pool) => pool.close(0)))
  }
}

/** What a filter matches, by connections of a store or of its own. */
export function scanOver({ longRunning }: Pools, filter: MessageFilter) {
  return pushToAsyncGenerator<Awaited<ReturnType<PostgresStore['page']>>['data']>((emit, signal) =>
    longRunning.run((session) => scan(session, filter, emit), { signal }),
  )
}

async function prepare(session: Session): Promise<void> {
  const { rows } = await sql<{ encoding: string }>`
    select current_setting('server_encoding') as encoding`.execute(session)
  const encoding = rows[0]?.encoding
  if (encoding !== 'UTF8') throw new Error(`its encoding is ${encoding}, expected is UTF8`)
  await migrate(session)
}

async function gatherStatistics(session: Session): Promise<void> {
  await sql`vacuum (analyze) messages, senders, minutes, uncounted`.execute(session)
}

async function measure(session: Session): Promise<StoreSize> {
  const { rows } = await sql<{ bytes: number }>`
    select pg_database_size(current_database()) as bytes`.execute(session)
  const messages = await countAll(session)
  return { messages, databaseBytes: rows[0]?.bytes ?? 0, freeBytes: undefined }
}
