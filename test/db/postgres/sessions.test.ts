import { sql } from 'kysely'
import pg from 'pg'
import t from 'tap'
import { StoreOpenError, StoreUnavailableError } from '../../../src/db/message-store.ts'
import type { Session } from '../../../src/db/postgres/pool.ts'
import { createPools } from '../../../src/db/postgres/pools.ts'
import { message, rejectedBody } from '../store-suite.ts'
import {
  createDatabase,
  eventually,
  execute,
  indexed,
  NO_SERVER,
  openStore,
  SERVER,
} from './server.ts'

const ALL = { order: 'asc' as const, limit: 100, offset: 0 }

t.test('on a server', { skip: NO_SERVER }, async (t) => {
  t.test(
    'sets synchronous_commit to at least `on`, to sync batches before acknowledging them',
    async (t) => {
      const url = await createDatabase(t)
      const name = new URL(url).pathname.slice(1)
      for (const [byDefault, expected] of [
        ['off', 'on'],
        ['local', 'on'],
        ['remote_apply', 'remote_apply'],
      ]) {
        await execute(url, `alter database ${name} set synchronous_commit = ${byDefault}`)
        const { ingest } = createPools(url, { unlimited: false, readTimeoutMs: 5000 })
        t.teardown(() => ingest.close(0))
        const setting = await ingest.run((session) =>
          session
            .selectNoFrom((eb) =>
              eb.fn<string>('current_setting', [eb.val('synchronous_commit')]).as('value'),
            )
            .executeTakeFirstOrThrow(),
        )
        t.same(setting, { value: expected })
      }
    },
  )

  t.test(
    'gives up keeping rejected bodies within 2 s, so that a stop is not delayed',
    async (t) => {
      const url = await createDatabase(t)
      const store = await openStore(t, url)
      const locking = new pg.Client({ connectionString: url })
      await locking.connect()
      t.teardown(() => locking.end())
      await locking.query('begin')
      await locking.query('lock table rejected_bodies in access exclusive mode')
      const started = performance.now()
      await t.rejects(store.rejected.keep([rejectedBody()], 10), StoreUnavailableError)
      t.ok(performance.now() - started < 2000)
    },
  )

  t.test('cancels an aborted read on the server, but no later read', async (t) => {
    const url = await createDatabase(t)
    const store = await openStore(t, url)
    await store.append([message({ message_id: 'a' })])
    await store.catchUp()
    await indexed(url)
    // The lock on the table makes reads slow.
    const waiting = `select count(*)::int from pg_stat_activity where wait_event_type = 'Lock'
        and datname = current_database() and query ~ '^select (count|\\*)'`
    const locking = new pg.Client({ connectionString: url })
    await locking.connect()
    t.teardown(() => locking.end())
    await locking.query('begin')
    await locking.query('lock table messages in access exclusive mode')
    for (const q of ['', 'h']) {
      const controller = new AbortController()
      const read = store.page({ ...ALL, q }, controller.signal)
      await eventually(url, waiting, ({ count }) => count === 1)
      controller.abort()
      await t.rejects(read, StoreUnavailableError)
      await eventually(url, waiting, ({ count }) => count === 0)
    }
    await locking.query('rollback')
    t.equal((await store.page(ALL, new AbortController().signal)).total, 1)
  })

  t.test('overrides the settings of a database that the statements rely on', async (t) => {
    const url = await createDatabase(t)
    const name = new URL(url).pathname.slice(1)
    const adverse = {
      array_nulls: 'off',
      standard_conforming_strings: 'off',
      default_transaction_isolation: 'serializable',
      gin_fuzzy_search_limit: '1',
      lock_timeout: '1ms',
      statement_timeout: '1s',
      idle_session_timeout: '1s',
      idle_in_transaction_session_timeout: '1s',
      client_encoding: 'LATIN1',
    }
    const settings = Object.entries(adverse)
    const alterations = settings.map(
      ([key, value]) => `alter database ${name} set ${key} = '${value}'`,
    )
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    for (const alteration of alterations) await client.query(alteration)
    await client.end()

    const stores = await Promise.all([1, 2, 3].map(() => openStore(t, url)))
    const text = 'Größe \\n 👍'
    const batch = [message({ message_id: 'a', text: null }), message({ message_id: 'b', text })]
    t.same(await stores[0]?.append(batch), ['created', 'created'])
    t.strictSame((await stores[1]?.page(ALL))?.data, batch)
    // Under `serializable`, one of two conflicting writers would fail.
    for (let round = 0; round < 20; round++) {
      const same = [message({ message_id: `${round}` }), message({ message_id: `${round + 1}` })]
      await Promise.all([...stores, ...stores].map((store) => store.append(same)))
    }
    await Promise.all(stores.map((store) => store.catchUp()))
    t.equal((await stores[2]?.stats())?.total_messages, 23)
  })

  t.test('sets timeouts after which the server ends the sessions of a lost instance', async (t) => {
    const { ingest, longRunning } = createPools(await createDatabase(t), {
      unlimited: false,
      readTimeoutMs: 5000,
    })
    const setting = (name: string) => async (session: Session) => {
      const { rows } = await sql<{
        value: string
      }>`select current_setting(${name}, true) as value`.execute(session)
      return rows[0]?.value
    }
    for (const [name, value] of [
      ['tcp_keepalives_idle', '10'],
      ['tcp_keepalives_interval', '5'],
      ['tcp_keepalives_count', '3'],
      ['tcp_user_timeout', '20000'],
      ['idle_in_transaction_session_timeout', '5s'],
    ] as const) {
      t.equal(await ingest.run(setting(name)), value, name)
    }
    // Exists since version 17.
    const transaction = await ingest.run(setting('transaction_timeout'))
    t.ok(transaction === null || transaction === '5s')
    t.equal(await longRunning.run(setting('idle_in_transaction_session_timeout')), '0')
    await ingest.close(0)
    await longRunning.close(0)
  })

  t.test(
    'limits the time of statements, except in the long-running pool and for the command line',
    async (t) => {
      const url = await createDatabase(t)
      const name = new URL(url).pathname.slice(1)
      await execute(url, `alter database ${name} set statement_timeout = '1min'`)
      const limitOf = async (pool: 'ingest' | 'reads' | 'longRunning', unlimited: boolean) => {
        const connection = createPools(url, { unlimited, readTimeoutMs: 7000 })[pool]
        const found = await connection.run((session) =>
          session
            .selectNoFrom((eb) =>
              eb.fn<string>('current_setting', [eb.val('statement_timeout')]).as('limit'),
            )
            .executeTakeFirstOrThrow(),
        )
        await connection.close(0)
        return found.limit
      }
      t.equal(await limitOf('ingest', false), '4s')
      t.equal(await limitOf('reads', false), '8s')
      t.equal(await limitOf('longRunning', false), '0', 'migrations and indexes')
      t.equal(await limitOf('ingest', true), '0', 'the command line')
    },
  )

  t.test('replaces connections that the server has ended', async (t) => {
    const url = await createDatabase(t)
    const store = await openStore(t, url)
    await store.append([message({ message_id: 'a' })])
    await store.page(ALL)
    await store.ready()
    await execute(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`,
    )
    t.equal((await store.page(ALL).catch(() => store.page(ALL))).total, 1)
    const again = () => store.append([message({ message_id: 'b' })])
    t.same(await again().catch(again), ['created'])
  })

  t.test('serves a read-only database, and rejects batches as unavailable', async (t) => {
    const url = await createDatabase(t)
    await (await openStore(t, url)).append([message({ message_id: 'a' })])
    const store = await openStore(t, url)
    const name = new URL(url).pathname.slice(1)
    await execute(
      url,
      `alter database ${name} set default_transaction_read_only = on`,
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`,
    )
    const assertUnavailable = async () => {
      await t.rejects(store.append([message({ message_id: 'b' })]), StoreUnavailableError)
      await t.rejects(store.ready(), StoreUnavailableError)
    }
    await assertUnavailable()
    await assertUnavailable()
    t.equal((await store.page(ALL).catch(() => store.page(ALL))).total, 1)
  })

  t.test('is not ready while the append statement cannot run', async (t) => {
    const url = await createDatabase(t)
    const store = await openStore(t, url)
    await store.ready()
    // `alter table` could deadlock with the concurrent build of the index.
    await indexed(url)
    for (const [alteration, reversal] of [
      [
        'alter table messages rename column to_msisdn to other',
        'alter table messages rename column other to to_msisdn',
      ],
      [
        'alter table pending_batches rename to other',
        'alter table other rename to pending_batches',
      ],
      ['alter sequence batches rename to other', 'alter sequence other rename to batches'],
    ] as const) {
      await execute(url, alteration)
      await t.rejects(store.ready(), alteration)
      await execute(url, reversal)
      await store.ready()
    }
    t.equal((await store.stats()).total_messages, 0, 'checks store nothing')
    t.same(await store.append([message({ message_id: 'a' })]), ['created'])
  })

  t.test(
    'rejects an unusable database with a one-line message that omits the password',
    async (t) => {
      const latin = await createDatabase(t, "lc_collate 'C' lc_ctype 'C'")
      await execute(
        SERVER,
        `update pg_database set encoding = 8 where datname = '${new URL(latin).pathname.slice(1)}'`,
      )
      const missing = new URL(SERVER ?? '')
      missing.pathname = '/there_is_no_such_database'
      const schemaless = `${await createDatabase(t)}?options=-c%20search_path=nowhere`
      for (const [url, reason] of [
        [latin, /encoding is LATIN1/],
        [missing.href, /does not exist/],
        [schemaless, /: its search_path names no schema that exists: nowhere$/],
        ['postgres://user:s3cret@127.0.0.1:1/db', /ECONNREFUSED/],
        ['postgres://user:s3cret@one,two/db', /./],
        ['postgres://user:s3cret@127.0.0.1:x/db', /not a URL/],
        ['postgres://user:s3cret@127.0.0.1/db?max=many', /expected a whole number for max/],
        ['postgres://user:s3cret@127.0.0.1/db?max=2', /5 connections or more/],
        ['postgres://user:s3cret@127.0.0.1/db?sslmode=verify-full&sslrootcert=/nowhere', /ENOENT/],
      ] as const) {
        await t.rejects(openStore(t, url), StoreOpenError)
        const { message } = (await openStore(t, url).catch((error: Error) => error)) as Error
        t.match(message, reason)
        t.notMatch(message, /s3cret|\n/)
      }
    },
  )
})
