import { PGlite } from '@electric-sql/pglite'
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm'
import { Kysely, PGliteDialect, PostgresDialect } from 'kysely'
import type { Pool, Session } from '../../../src/db/postgres/pool.ts'
import type { Pools } from '../../../src/db/postgres/pools.ts'
import type { PostgresSchema } from '../../../src/db/postgres/schema.ts'

/** One piece of work at a time. */
class Turns {
  #last: Promise<unknown> = Promise.resolve()

  take<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return turn
  }
}

/**
 * A PostgreSQL in this process, which has one connection: every pool takes turns on it. A cursor cannot keep that
 * connection to itself, so a scan's is made to outlive its transaction.
 */
export async function startPGlite(): Promise<{
  pglite: PGlite
  connect: () => Pools
}> {
  const pglite = await PGlite.create({ extensions: { pg_trgm } })
  const turns = new Turns()
  const session: Session = new Kysely<PostgresSchema>({ dialect: new PGliteDialect({ pglite }) })
  const pool: Pool = {
    run: (work) => turns.take(() => work(session)),
    close: async () => {},
    usage: { total: 1, idle: 0, waiting: 0 },
  }
  const longRunning: Pool = {
    async run(work, { signal } = {}) {
      let held = false
      const cut = Promise.withResolvers<never>()
      signal?.addEventListener('abort', () => cut.reject(new Error('cut off')))
      const query = async (text: string, values: unknown[]) => {
        const result = { command: 'SELECT', rowCount: 0, rows: [] }
        if (/^(begin|start|commit|rollback)/.test(text)) return result
        held ||= text.startsWith('declare')
        const holding = text.replace('cursor for', 'cursor with hold for')
        return { ...result, ...(await turns.take(() => pglite.query(holding, values))) }
      }
      const pool = { connect: async () => ({ query, release() {} }), end() {}, options: {} }
      try {
        const session: Session = new Kysely({
          dialect: new PostgresDialect({ pool: pool as never }),
        })
        return await Promise.race([work(session), cut.promise])
      } finally {
        if (held) await turns.take(() => pglite.exec('close chunks'))
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
