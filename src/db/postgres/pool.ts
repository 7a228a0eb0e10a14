import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { type PoolUsage, StoreUnavailableError } from '../message-store.ts'
import { toStoreError } from './errors.ts'
import type { PostgresSchema } from './schema.ts'

/** Queries on one connection. */
export type Session = Kysely<PostgresSchema>

/** What ends work before it is done. */
export interface Limits {
  signal?: AbortSignal | undefined
  /** Milliseconds for all of it, waiting for a connection included. */
  withinMs?: number | undefined
}

/** Pools for one kind of work, so that no kind waits for another. */
export interface Pool {
  /**
   * Runs the work on a connection that it has for itself. Work that is cut off rejects at once, and what it does on
   * the server is cancelled; a connection on which anything failed is not used again.
   * @throws StoreUnavailableError when it is cut off, or when the database is away.
   */
  run<Result>(work: (session: Session) => Promise<Result>, limits?: Limits): Promise<Result>
  /** Its connections now. */
  readonly usage: PoolUsage
  /** Takes no more work, cuts off what is still under way after so many milliseconds, and ends every connection. */
  close(graceMs: number): Promise<void>
}

/** How long the connections of a pool may take to end, in milliseconds; then they are left to the system. */
const END_WITHIN_MS = 1000

/** The queries of a pooled connection; those with a name here are prepared once on each. */
function sessionOn(client: pg.PoolClient, names: ReadonlyMap<string, string>): Session {
  const connection = {
    query: (text: string, values: unknown[]) =>
      client.query({ text, values, name: names.get(text) }),
    release() {},
  }
  const pool = { connect: async () => connection, end: async () => {}, options: {} }
  // The driver's types know neither a query without a cursor nor one without a name.
  return new Kysely({ dialect: new PostgresDialect({ pool: pool as never }) })
}

/** A pool over the driver's own pool. */
export class PgPool implements Pool {
  readonly #pool: pg.Pool
  readonly #prepared: ReadonlyMap<string, string>
  readonly #cancel: (client: pg.PoolClient) => Promise<void>
  readonly #sessions = new WeakMap<pg.PoolClient, Session>()
  readonly #running = new Set<Promise<unknown>>()
  readonly #cut = new AbortController()
  #closing: Promise<void> | undefined

  /**
   * @param cancel cancels the statement of this connection, which stays open meanwhile; never rejects.
   * @param prepared statements to prepare, by their text: their names.
   */
  constructor(
    config: pg.PoolConfig,
    cancel: (client: pg.PoolClient) => Promise<void>,
    prepared: ReadonlyMap<string, string>,
  ) {
    this.#pool = new pg.Pool(config)
    this.#cancel = cancel
    this.#prepared = prepared
    // A connection that breaks while nobody uses it is replaced; whoever uses it hears of it from its query.
    this.#pool.on('error', () => {})
    this.#pool.on('connect', (client) => client.on('error', () => {}))
  }

  get usage(): PoolUsage {
    const { totalCount: total, idleCount: idle, waitingCount: waiting } = this.#pool
    return { total, idle, waiting }
  }

  async run<Result>(
    work: (session: Session) => Promise<Result>,
    limits: Limits = {},
  ): Promise<Result> {
    if (this.#closing) throw new StoreUnavailableError('the store is closed')
    const running = this.#run(work, limits)
    this.#running.add(running)
    try {
      return await running
    } catch (error) {
      throw toStoreError(error)
    } finally {
      this.#running.delete(running)
    }
  }

  async #run<Result>(
    work: (session: Session) => Promise<Result>,
    { signal, withinMs }: Limits,
  ): Promise<Result> {
    const end = Promise.withResolvers<never>()
    const cutOff = (reason: string) => () => end.reject(new StoreUnavailableError(reason))
    const ends: [AbortSignal, () => void][] = [[this.#cut.signal, cutOff('the store is closed')]]
    if (signal) ends.push([signal, cutOff('the read was cut off')])
    for (const [signal, listener] of ends) {
      if (signal.aborted) listener()
      else signal.addEventListener('abort', listener, { once: true })
    }
    const late = cutOff(`the database did not answer within ${withinMs} ms`)
    const timer = withinMs === undefined ? undefined : setTimeout(late, withinMs)
    try {
      const client = await this.#connect(end.promise)
      return await this.#work(client, work, end.promise)
    } finally {
      clearTimeout(timer)
      for (const [signal, listener] of ends) signal.removeEventListener('abort', listener)
      end.promise.catch(() => {})
    }
  }

  async #connect(end: Promise<never>): Promise<pg.PoolClient> {
    const connecting = this.#pool.connect()
    try {
      return await Promise.race([end, connecting])
    } catch (error) {
      connecting.then(
        (client) => client.release(),
        () => {},
      )
      throw error
    }
  }

  async #work<Result>(
    client: pg.PoolClient,
    work: (session: Session) => Promise<Result>,
    end: Promise<never>,
  ): Promise<Result> {
    let session = this.#sessions.get(client)
    if (!session) {
      session = sessionOn(client, this.#prepared)
      this.#sessions.set(client, session)
    }
    let settled = false
    const working = work(session).finally(() => {
      settled = true
    })
    try {
      const result = await Promise.race([end, working])
      client.release()
      return result
    } catch (error) {
      working.catch(() => {})
      const idle = settled ? Promise.resolve() : this.#cancel(client)
      void idle.then(() => client.release(true))
      throw error
    }
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  async #close(graceMs: number): Promise<void> {
    const done = Promise.allSettled(this.#running)
    await settledWithin(graceMs, done)
    this.#cut.abort()
    await done
    await settledWithin(END_WITHIN_MS, this.#pool.end())
  }
}

/** Waits until the promise is settled, either way, or the time is over. @returns whether it was settled in time. */
export async function settledWithin(ms: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  const settled = promise.then(
    () => true,
    () => true,
  )
  const inTime = await Promise.race([settled, late])
  clearTimeout(timer)
  return inTime
}
