import { PGlite } from '@electric-sql/pglite'
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm'
import { Kysely, PGliteDialect, PostgresDialect } from 'kysely'
import type { Pool, Session } from '../../../src/db/postgres/pool.ts'
import type { Pools } from '../../../src/db/postgres/pools.ts'
import type { PostgresSchema } from '../../../src/db/postgres/schema.ts'

/** Runs one piece of work at a time. */
class Serializer {
  #last: Promise<unknown> = Promise.resolve()

  run<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }
}

/**
 * Starts PGlite, an in-process PostgreSQL with a single connection, which all pools share.
 * A scan must not occupy it between two chunks, so its cursor is declared `with hold` and its transaction is omitted.
 */
export async function startPGlite(): Promise<{
  pglite: PGlite
  connect: () => Pools
}> {
  const pglite = await PGlite.create({ extensions: { pg_trgm } })
  const serializer = new Serializer()
  const session: Session = new Kysely<PostgresSchema>({ dialect: new PGliteDialect({ pglite }) })
  const pool: Pool = {
    run: (work) => serializer.run(() => work(session)),
    close: async () => {},
    usage: { total: 1, idle: 0, waiting: 0 },
  }
  const longRunning: Pool = {
    async run(work, { signal } = {}) {
      let held = false
      const cancelled = Promise.withResolvers<never>()
      signal?.addEventListener('abort', () => cancelled.reject(new Error('cancelled')))
      const query = async (text: string, values: unknown[]) => {
        const result = { command: 'SELECT', rowCount: 0, rows: [] }
        if (/^(begin|start|commit|rollback)/.test(text)) return result
        held ||= text.startsWith('declare')
        const withHold = text.replace('cursor for', 'cursor with hold for')
        return { ...result, ...(await serializer.run(() => pglite.query(withHold, values))) }
      }
      const pool = { connect: async () => ({ query, release() {} }), end() {}, options: {} }
      try {
        const session: Session = new Kysely({
          dialect: new PostgresDialect({ pool: pool as never }),
        })
        return await Promise.race([work(session), cancelled.promise])
      } finally {
        if (held) await serializer.run(() => pglite.exec('close chunks'))
      }
    },
    close: async () => {},
    usage: { total: 1, idle: 0, waiting: 0 },
  }
  const connect = (): Pools => ({
    ingest: pool,
    reads: pool,
    searches: pool,
    maintenance: pool,
    longRunning,
    concurrency: 1,
    name: 'PGlite',
  })
  return { pglite, connect }
}
