import pg from 'pg'
import t from 'tap'
import { StoreUnavailableError } from '../../../src/db/message-store.ts'
import { DEFAULT_DETAILS } from '../../../src/message/message.ts'
import { message } from '../store-suite.ts'
import { PGBOUNCER, startPgBouncer } from './pgbouncer.ts'
import { createDatabase, eventually, execute, indexed, openStore, SERVER } from './server.ts'

const ALL = { order: 'asc' as const, limit: 100, offset: 0 }

function missing(): string | false {
  if (!SERVER) return 'TEST_POSTGRES_URL names no server'
  return PGBOUNCER ? false : 'pgbouncer is not installed'
}

t.test('through PgBouncer in session mode', { skip: missing() }, async (t) => {
  t.test('stores and reads', async (t) => {
    const store = await openStore(t, await startPgBouncer(t, await createDatabase(t)))
    const a = message({ message_id: 'a' })
    t.same(await store.append([a]), ['created'])
    await store.ready()
    t.equal((await store.page(ALL)).total, 1)
    t.strictSame(await store.message('a'), { ...a, ...DEFAULT_DETAILS })
  })

  t.test('cancels an aborted read on the server', async (t) => {
    const direct = await createDatabase(t)
    const store = await openStore(t, await startPgBouncer(t, direct), { readTimeoutMs: 60_000 })
    await store.append([message({ message_id: 'a' })])
    await indexed(direct)
    const waiting = `select count(*)::int from pg_stat_activity where wait_event_type = 'Lock'
      and datname = current_database() and query ~ '^select'`
    const locking = new pg.Client({ connectionString: direct })
    await locking.connect()
    t.teardown(() => locking.end())
    await locking.query('begin')
    await locking.query('lock table messages in access exclusive mode')
    for (let round = 0; round < 5; round++) {
      const controller = new AbortController()
      const read = store.page({ ...ALL, q: 'h' }, controller.signal)
      await eventually(direct, waiting, ({ count }) => count === 1)
      controller.abort()
      await t.rejects(read, StoreUnavailableError)
      await eventually(direct, waiting, ({ count }) => count === 0)
    }
    await locking.query('rollback')
    t.equal((await store.page({ ...ALL, q: 'h' })).total, 1)
  })

  t.test('applies the session settings', async (t) => {
    const direct = await createDatabase(t)
    const name = new URL(direct).pathname.slice(1)
    await execute(direct, `alter database ${name} set array_nulls = off`)
    const store = await openStore(t, await startPgBouncer(t, direct))
    await store.append([message({ message_id: 'a', text: null })])
    t.equal((await store.message('a'))?.text, null)
  })
})
