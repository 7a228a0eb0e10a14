import pg from 'pg'
import t from 'tap'
import { verifyOffline } from '../../../src/db/postgres/offline/commands.ts'
import { DEFAULT_DETAILS } from '../../../src/message/message.ts'
import { appears, idsOf, readFeed } from '../feed-suite.ts'
import { message, removeAll } from '../store-suite.ts'
import { createDatabase, execute, indexed, NO_SERVER, openStore, SERVER } from './server.ts'

const ALL = { order: 'asc' as const, limit: 100, offset: 0 }

t.test('on a server', { skip: NO_SERVER }, async (t) => {
  t.test('ten stores can open an empty database at once', async (t) => {
    const url = await createDatabase(t)
    const stores = await Promise.all(Array.from({ length: 10 }, () => openStore(t, url)))
    const outcomes = await Promise.all(
      stores.map((store) => store.append([message({ message_id: 'same' })])),
    )
    t.same(outcomes.flat().sort(), ['created', ...Array(9).fill('duplicate')])
    await indexed(url)
  })

  t.test('messages of an earlier schema have the default details', async (t) => {
    const url = await createDatabase(t)
    const created = await openStore(t, url)
    await created.append([message({ message_id: 'a' })])
    await indexed(url)
    await created.close()
    await execute(
      url,
      'alter table messages drop column source, drop column type, drop column payload',
    )
    await execute(url, 'drop trigger record_feed_batch on pending_batches')
    await execute(url, 'drop function record_feed_batch')
    await execute(url, 'drop function keyed_digest')
    await execute(url, 'drop table digest_key, removed_messages, erased_ids')
    await execute(url, 'drop table rejected_bodies, feed_batches, feed_state')
    await execute(url, "delete from kysely_migration where name >= '0002-sources'")
    const store = await openStore(t, url)
    const expected = { ...message({ message_id: 'a' }), ...DEFAULT_DETAILS }
    t.strictSame(await store.message('a'), expected)
    t.same(await store.append([message({ message_id: 'b' })]), ['created'])
    await appears(store, 'b')
    t.same(idsOf((await readFeed(store)).data), ['a', 'b'])
    t.same(idsOf((await readFeed(store, { filter: { from: '+1' }, limit: 1 })).data), ['a', 'b'])
  })

  t.test('rejects a schema of a later version with a one-line message', async (t) => {
    const url = await createDatabase(t)
    await (await openStore(t, url)).close()
    await execute(url, "insert into kysely_migration values ('9999-later', '2030')")
    await t.rejects(openStore(t, url), {
      name: 'StoreOpenError',
      message: /^cannot open postgres:\/\/[^@]+: its schema is of a later version [^\n]+9999-later/,
    })
  })

  t.test(
    'concurrent stores that share ids and senders neither deadlock nor miscount',
    async (t) => {
      const url = await createDatabase(t)
      const stores = await Promise.all([1, 2, 3].map(() => openStore(t, url)))
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
        (select count(*) from pending_batches)::int as pending`,
      )
      const all = created.size
      t.same(sums, [{ senders: all, days: all, minutes: all, totals: all, pending: 0 }])
    },
  )

  t.test('catchUp waits for batches stored before the call, but not for later ones', async (t) => {
    const url = await createDatabase(t)
    const [store, other] = [await openStore(t, url), await openStore(t, url)]
    // Another instance, which rolls up the first batch only.
    const otherInstance = new pg.Client({ connectionString: url })
    await otherInstance.connect()
    t.teardown(() => otherInstance.end())
    await otherInstance.query(`select pg_advisory_lock(${0x6c796674}, 2)`)
    await store.append([message({ message_id: 'a' })])
    let calls = 0
    await store.catchUp(async () => {
      calls++
      if (calls === 1) {
        await otherInstance.query('delete from pending_batches')
        await other.append([message({ message_id: 'b' })])
      }
      if (calls === 5) await otherInstance.query('select pg_advisory_unlock_all()')
    })
    t.equal(calls, 1)
    t.same(await execute(url, 'select messages from pending_batches'), [{ messages: 1 }])
  })

  t.test('searches without pg_trgm after one warning, and uses it once it exists', async (t) => {
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
    const onWarning = (text: string, { reason }: Record<string, unknown>) =>
      warnings.push(`${text}; ${reason}`)
    const warned = Promise.withResolvers<void>()
    const store = await openStore(t, asRole.href, {
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
    const again = await openStore(t, asRole.href, { onWarning })
    await indexed(url)
    t.equal((await again.page({ ...ALL, q: 'GRÖß' })).total, 1)
    t.equal(warnings.length, 1)
  })

  t.test('rebuilds an index whose build was interrupted', async (t) => {
    const url = await createDatabase(t)
    const store = await openStore(t, url)
    await indexed(url)
    await store.close()
    await execute(
      url,
      'create extension if not exists pg_trgm',
      'drop index if exists messages_by_text',
      'create index messages_by_text on messages using gin (folded gin_trgm_ops)',
      "update pg_index set indisvalid = false where indexrelid = 'messages_by_text'::regclass",
    )
    await openStore(t, url)
    await indexed(url)
  })

  t.test(
    'stores that remove at once, while others append and erase, neither deadlock nor miscount',
    async (t) => {
      const url = await createDatabase(t)
      const stores = await Promise.all([1, 2, 3].map(() => openStore(t, url)))
      const [first] = stores
      if (!first) throw new Error('no store is open')
      const at = (n: number) => `2025-01-15T10:${String(n % 60).padStart(2, '0')}:00Z`
      const before = '2025-01-15T10:30:00'
      let number = 0
      const work = stores.map(async (store, index) => {
        for (let round = 0; round < 20; round++) {
          const batch = Array.from({ length: 40 }, () => {
            const n = number++
            return message({ message_id: `m${n}`, from_msisdn: `+${n % 7}`, ts: at(n) })
          })
          await store.append(batch)
          await store.removal.removeExpired(before)
          if (round % 5 === index) await store.removal.erase({ from: '+3' })
        }
      })
      await Promise.all(work)
      await removeAll(first, { before })
      await removeAll(first, { from: '+3' })
      const left = Array.from({ length: number }, (_, n) => n).filter(
        (n) => n % 60 >= 30 && n % 7 !== 3,
      )
      t.equal((await first.stats()).total_messages, left.length)
      t.match(await verifyOffline(url, () => {}), { messages: left.length, differences: [] })
      await appears(first, `m${left.at(-1)}`)
      const fed = idsOf((await readFeed(first)).data)
      t.strictSame(fed.sort(), left.map((n) => `m${n}`).sort())
    },
  )
})
