import pg from 'pg'
import t, { type Test } from 'tap'
import { connectTo } from '../../../src/db/postgres/connections.ts'
import { PostgresStore, type PostgresStoreOptions } from '../../../src/db/postgres/store.ts'
import { StoreOpenError, StoreUnavailableError } from '../../../src/db/store.ts'
import { message, suite } from '../store-suite.ts'
import { createDatabase, execute, SERVER } from './server.ts'

const ALL = { order: 'asc' as const, limit: 100, offset: 0 }

async function open(
  t: Test,
  url: string,
  options: Partial<PostgresStoreOptions> = {},
): Promise<PostgresStore> {
  const store = await PostgresStore.open(url, { patient: false, readTimeoutMs: 5000, ...options })
  t.teardown(() => store.close())
  return store
}

/** Opens an empty store in a schema of its own. */
async function openIn(t: Test, url: string): Promise<PostgresStore> {
  const schema = `test_${Math.random().toString(36).slice(2)}`
  await execute(url, `create schema ${schema}`)
  const own = new URL(url)
  own.searchParams.set('options', `-c search_path=${schema},public`)
  return await open(t, own.href)
}

/** Resolves once the query yields a row for which this holds. */
async function eventually(
  url: string,
  query: string,
  holds: (row: Record<string, unknown>) => boolean,
): Promise<void> {
  while (!(await execute(url, query)).some(holds));
}

/** Resolves once searches have their index. */
function indexed(url: string): Promise<void> {
  const index = "select indisvalid from pg_index where indexrelid = to_regclass('messages_by_text')"
  return eventually(url, index, ({ indisvalid }) => indisvalid === true)
}

/** Locales whose order and whose case differ. */
const LOCALES = {
  'in the C locale': "lc_collate 'C' lc_ctype 'C'",
  'with ICU': "lc_collate 'C' lc_ctype 'C' locale_provider icu icu_locale 'tr-TR'",
}

t.test('on a server', { skip: !SERVER }, async (t) => {
  for (const [name, options] of Object.entries(LOCALES)) {
    t.test(`keeps the promises of a store ${name}`, async (t) => {
      const url = await createDatabase(t, options)
      suite(t, (t) => openIn(t, url))
    })
  }

  t.test('holds the longest values that the webhook takes', async (t) => {
    const store = await open(t, await createDatabase(t))
    const longest = message({
      // Four bytes each, and none like the other, so that nothing is compressed.
      message_id: Array.from({ length: 512 }, (_, n) =>
        String.fromCodePoint(0x20000 + ((n * 7919) % 40_000)),
      ).join(''),
      from_msisdn: `+${'1'.repeat(32)}`,
      ts: '2025-01-15T10:00:00.123456789Z',
      text: '👍ﬃ'.repeat(2048),
    })
    t.same(await store.append([longest]), ['created'])
    t.same(await store.append([longest]), ['duplicate'])
    await store.catchUp()
    for (const filter of [{}, { from: longest.from_msisdn }, { q: 'ffi👍FFI' }]) {
      t.strictSame((await store.page({ ...ALL, ...filter })).data, [longest])
    }
    t.strictSame(await store.message(longest.message_id), longest)
  })

  t.test('ten stores that open an empty database together all come up', async (t) => {
    const url = await createDatabase(t)
    const stores = await Promise.all(Array.from({ length: 10 }, () => open(t, url)))
    const outcomes = await Promise.all(
      stores.map((store) => store.append([message({ message_id: 'same' })])),
    )
    t.same(outcomes.flat().sort(), ['created', ...Array(9).fill('duplicate')])
    await indexed(url)
  })

  t.test('a schema of a later version is refused in one line', async (t) => {
    const url = await createDatabase(t)
    await (await open(t, url)).close()
    await execute(url, "insert into kysely_migration values ('9999-later', '2030')")
    await t.rejects(open(t, url), {
      name: 'StoreOpenError',
      message: /^cannot open postgres:\/\/[^@]+: its schema is of a later version [^\n]+9999-later/,
    })
  })

  t.test(
    'stores side by side that share ids and senders neither deadlock nor miscount',
    async (t) => {
      const url = await createDatabase(t)
      const stores = await Promise.all([1, 2, 3].map(() => open(t, url)))
      const created = new Map<string, number>()
      const work = stores.flatMap((store, s) =>
        Array.from({ length: 3 }, async (_, w) => {
          for (let round = 0; round < 15; round++) {
            const batch = Array.from({ length: 60 }, (_, n) => {
              const id = (n * 17 + round * 40 + w * 7 + s) % 997
              return message({
                message_id: `m${id}`,
                from_msisdn: `+${id % 13}`,
                ts: `2025-01-15T10:${String(id % 60).padStart(2, '0')}:00Z`,
              })
            })
            const outcomes = await store.append(s % 2 ? batch.reverse() : batch)
            batch.forEach(({ message_id }, n) => {
              if (outcomes[n] !== 'created') return
              created.set(message_id, (created.get(message_id) ?? 0) + 1)
            })
            if (round % 5 === w) await store.catchUp()
            const { total_messages, messages_per_sender } = await store.stats()
            const counted = messages_per_sender.reduce((sum, { count }) => sum + count, 0)
            t.ok(counted <= total_messages, 'one snapshot')
          }
        }),
      )
      await Promise.all(work)
      t.ok([...created.values()].every((times) => times === 1))
      const [{ count } = {}] = await execute(url, 'select count(*)::int from messages')
      for (const store of stores) {
        t.equal((await store.stats()).total_messages, created.size)
        await store.catchUp()
        t.equal((await store.stats()).total_messages, created.size)
      }
      t.equal(count, created.size)
      const sums = await execute(
        url,
        `select (select sum(count) from senders)::int as senders, (select sum(count) from days)::int as days,
        (select sum(count) from minutes)::int as minutes, (select messages from totals)::int as totals,
        (select count(*) from uncounted)::int as uncounted`,
      )
      const all = created.size
      t.same(sums, [{ senders: all, days: all, minutes: all, totals: all, uncounted: 0 }])
    },
  )

  t.test('acknowledged is synced, whatever the default of the server', async (t) => {
    const url = await createDatabase(t)
    const name = new URL(url).pathname.slice(1)
    for (const [byDefault, found] of [
      ['off', 'on'],
      ['local', 'on'],
      ['remote_apply', 'remote_apply'],
    ]) {
      await execute(url, `alter database ${name} set synchronous_commit = ${byDefault}`)
      const { ingest } = connectTo(url, { patient: false, readTimeoutMs: 5000 })
      t.teardown(() => ingest.close(0))
      const said = await ingest.run((session) =>
        session
          .selectNoFrom((eb) =>
            eb.fn<string>('current_setting', [eb.val('synchronous_commit')]).as('said'),
          )
          .executeTakeFirstOrThrow(),
      )
      t.same(said, { said: found })
    }
  })

  t.test(
    'without pg_trgm it says so once, and answers; once it is there, it is used',
    async (t) => {
      const url = await createDatabase(t)
      const name = new URL(url).pathname.slice(1)
      await execute(
        url,
        `create role ${name} login`,
        `grant usage, create on schema public to ${name}`,
      )
      t.teardown(() =>
        execute(SERVER, `drop database if exists ${name} with (force)`, `drop role ${name}`),
      )
      const asRole = new URL(url)
      asRole.username = name
      const warnings: string[] = []
      const onWarning = (text: string, { cause }: Record<string, unknown>) =>
        warnings.push(`${text}; ${cause}`)
      const warned = Promise.withResolvers<void>()
      const store = await open(t, asRole.href, {
        onWarning: (...warning) => {
          onWarning(...warning)
          warned.resolve()
        },
      })
      await store.append([message({ message_id: 'a', text: 'Größe' })])
      await warned.promise
      t.match(warnings, [/no index.*pg_trgm.*permission denied/])
      t.equal((await store.page({ ...ALL, q: 'röße x' })).total, 0)
      t.equal((await store.page({ ...ALL, q: 'RÖSS' })).total, 1)
      await store.close()

      await execute(url, 'create extension pg_trgm')
      const again = await open(t, asRole.href, { onWarning })
      await eventually(
        url,
        "select indisvalid from pg_index where indexrelid = to_regclass('messages_by_text')",
        ({ indisvalid }) => indisvalid === true,
      )
      t.equal((await again.page({ ...ALL, q: 'GRÖß' })).total, 1)
      t.equal(warnings.length, 1)
    },
  )

  t.test('an index whose build was cut off is built again', async (t) => {
    const url = await createDatabase(t)
    await (await open(t, url)).close()
    await execute(
      url,
      'create extension if not exists pg_trgm',
      'drop index if exists messages_by_text',
      'create index messages_by_text on messages using gin (folded gin_trgm_ops)',
      "update pg_index set indisvalid = false where indexrelid = 'messages_by_text'::regclass",
    )
    await open(t, url)
    await indexed(url)
  })

  t.test(
    'a read is cut off by its signal, on the server too, and the next one is not',
    async (t) => {
      const url = await createDatabase(t)
      const store = await open(t, url)
      await store.append([message({ message_id: 'a' })])
      await store.catchUp()
      await indexed(url)
      // A read that waits, as one that is slow does: for a lock on the table.
      const waiting = `select count(*)::int from pg_stat_activity where wait_event_type = 'Lock'
        and datname = current_database() and query ~ '^select (count|"messages")'`
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
    },
  )

  t.test('connections that the server ends are replaced', async (t) => {
    const url = await createDatabase(t)
    const store = await open(t, url)
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

  t.test('a batch with a row that cannot be stored stores nothing', async (t) => {
    const store = await open(t, await createDatabase(t))
    const broken = message({ message_id: 'b', text: 'NUL \0' })
    await t.rejects(store.append([message({ message_id: 'a' }), broken]), { code: '22021' })
    t.equal((await store.stats()).total_messages, 0)
  })

  t.test('a database that takes no writes is unavailable, and still read', async (t) => {
    const url = await createDatabase(t)
    await (await open(t, url)).append([message({ message_id: 'a' })])
    const store = await open(t, url)
    const name = new URL(url).pathname.slice(1)
    await execute(
      url,
      `alter database ${name} set default_transaction_read_only = on`,
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`,
    )
    const refused = async () => {
      await t.rejects(store.append([message({ message_id: 'b' })]), StoreUnavailableError)
      await t.rejects(store.ready(), StoreUnavailableError)
    }
    await refused()
    await refused()
    t.equal((await store.page(ALL).catch(() => store.page(ALL))).total, 1)
  })

  t.test('what cannot be opened is refused in one line without a password', async (t) => {
    const latin = await createDatabase(t, "lc_collate 'C' lc_ctype 'C'")
    await execute(
      SERVER,
      `update pg_database set encoding = 8 where datname = '${new URL(latin).pathname.slice(1)}'`,
    )
    const missing = new URL(SERVER ?? '')
    missing.pathname = '/there_is_no_such_database'
    for (const [url, reason] of [
      [latin, /encoding is LATIN1/],
      [missing.href, /does not exist/],
      ['postgres://user:s3cret@127.0.0.1:1/db', /ECONNREFUSED/],
      ['postgres://user:s3cret@one,two/db', /./],
      ['postgres://user:s3cret@127.0.0.1:x/db', /not a URL/],
      ['postgres://user:s3cret@127.0.0.1/db?max=many', /expected a number for max/],
      ['postgres://user:s3cret@127.0.0.1/db?max=2', /5 connections or more/],
      ['postgres://user:s3cret@127.0.0.1/db?sslmode=verify-full&sslrootcert=/nowhere', /ENOENT/],
    ] as const) {
      await t.rejects(open(t, url), StoreOpenError)
      const { message } = (await open(t, url).catch((error: Error) => error)) as Error
      t.match(message, reason)
      t.notMatch(message, /s3cret|\n/)
    }
  })
})
