import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { type PoolUsage, StoreUnavailableError } from '../message-store.ts'
import { toStoreError } from './errors.ts'
import type { PostgresSchema } from './schema.ts'

/** A query builder that runs its statements on one connection. */
export type Session = Kysely<PostgresSchema>

/** Limits of one piece of work. */
export interface Limits {
  /** Cancels the work when aborted. */
  signal?: AbortSignal | undefined
  /** Milliseconds for the work, including the wait for a connection. */
  timeoutMs?: number | undefined
}

/** A connection pool for one kind of work. */
export interface Pool {
  /**
   * Runs the work with exclusive use of a connection.
   * If the work is cancelled or times out, the call rejects at once, and the running statement is cancelled on the
   * server. Connections are closed after any error.
   * @throws StoreUnavailableError if the work is cancelled or times out, or if the database is unavailable.
   */
  run<Result>(work: (session: Session) => Promise<Result>, limits?: Limits): Promise<Result>
  /** The current number of connections, by state. */
  readonly usage: PoolUsage
  /** Rejects new work, cancels running work after the grace period, and closes every connection. */
  close(graceMs: number): Promise<void>
}

/** Milliseconds for connections to close; those that take longer are abandoned. */
const END_TIMEOUT_MS = 1000

/**
 * Creates the session of a connection.
 * @param names names of the statements to prepare, by their text.
 */
function sessionOn(client: pg.PoolClient, names: ReadonlyMap<string, string>): Session {
  const connection = {
    query: (text: string, values: unknown[]) =>
      client.query({ text, values, name: names.get(text) }),
    release() {},
  }
  const pool = { connect: async () => connection, end: async () => {}, options: {} }
  // The dialect's type of a pool requires cursors, which are unused here.
  return new Kysely({ dialect: new PostgresDialect({ pool: pool as never }) })
}

/** A pool of connections of the `pg` driver. */
export class PgPool implements Pool {
  readonly #pool: pg.Pool
  readonly #prepared: ReadonlyMap<string, string>
  readonly #cancel: (client: pg.PoolClient) => Promise<void>
  readonly #sessions = new WeakMap<pg.PoolClient, Session>()
  readonly #running = new Set<Promise<unknown>>()
  readonly #closed = new AbortController()
  #closing: Promise<void> | undefined

  /**
   * @param cancel cancels the running statement of a connection, without closing it; must not reject.
   * @param prepared names of the statements to prepare on each connection, by their text.
   */
  constructor(
    config: pg.PoolConfig,
    cancel: (client: pg.PoolClient) => Promise<void>,
    prepared: ReadonlyMap<string, string>,
  ) {
    this.#pool = new pg.Pool(config)
    this.#cancel = cancel
    this.#prepared = prepared
    // The pool replaces idle connections that break. On connections in use, the query rejects.
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
    { signal, timeoutMs }: Limits,
  ): Promise<Result> {
    const cancelled = Promise.withResolvers<never>()
    const cancel = (reason: string) => () => cancelled.reject(new StoreUnavailableError(reason))
    const signals: [AbortSignal, () => void][] = [
      [this.#closed.signal, cancel('the store is closed')],
    ]
    if (signal) signals.push([signal, cancel('the read was cancelled')])
    for (const [each, listener] of signals) {
      if (each.aborted) listener()
      else each.addEventListener('abort', listener, { once: true })
    }
    const onTimeout = cancel(`the database did not answer within ${timeoutMs} ms`)
    const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs)
    try {
      const client = await this.#connect(cancelled.promise)
      return await this.#runOn(client, work, cancelled.promise)
    } finally {
      clearTimeout(timer)
      for (const [each, listener] of signals) each.removeEventListener('abort', listener)
      cancelled.promise.catch(() => {})
    }
  }

  async #connect(cancelled: Promise<never>): Promise<pg.PoolClient> {
    const connecting = this.#pool.connect()
    try {
      return await Promise.race([cancelled, connecting])
    } catch (error) {
      connecting.then(
        (client) => client.release(),
        () => {},
      )
      throw error
    }
  }

  async #runOn<Result>(
    client: pg.PoolClient,
    work: (session: Session) => Promise<Result>,
    cancelled: Promise<never>,
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
      const result = await Promise.race([cancelled, working])
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
    this.#closed.abort()
    await done
    await settledWithin(END_TIMEOUT_MS, this.#pool.end())
  }
}

/** Waits for the promise to settle, at most for the given time. @returns whether it settled in time. */
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
