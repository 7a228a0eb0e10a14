import pg from 'pg'
import t, { type Test } from 'tap'
import { appears, idsOf, readFeed } from '../feed-suite.ts'
import { message } from '../store-suite.ts'
import { createDatabase, execute, NO_SERVER, openStore } from './server.ts'

/** Connects a client that is closed after the test. */
async function connect(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** Inserts a message as a batch of its own, as an instance does. */
const INSERT = `
  with arrival as materialized (select nextval('batches') as batch),
  inserted as (
    insert into messages (batch, ordinal, message_id, from_msisdn, to_msisdn, ts, created_at, ts_key)
    select batch, 1, $1, '+1', '+2', '', '', '' from arrival
  )
  insert into pending_batches (batch, messages) select batch, 1 from arrival`

t.test('on a server', { skip: NO_SERVER }, async (t) => {
  t.test('the feed waits for a batch that has the lower number and commits later', async (t) => {
    const url = await createDatabase(t)
    const store = await openStore(t, url)
    await store.append([message({ message_id: 'before' })])
    await appears(store, 'before')
    const { next } = await readFeed(store)

    const slow = await connect(t, url)
    await slow.query('begin')
    await slow.query(INSERT, ['slow'])
    await store.append([message({ message_id: 'fast' })])
    const open = await readFeed(store, { after: next })
    t.same(open.data, [], 'nothing above the oldest transaction that is under way')
    t.strictSame(await store.feedEnd(), next)
    await slow.query('commit')
    await appears(store, 'fast')
    t.same(idsOf((await readFeed(store, { after: open.next })).data), ['slow', 'fast'])
  })

  t.test('the feed orders a batch whose transaction began last after the others', async (t) => {
    const url = await createDatabase(t)
    const store = await openStore(t, url)
    await store.append([message({ message_id: 'first' })])
    const late = await connect(t, url)
    await late.query('begin')
    // Draws the lower number, and gets its transaction id later: only each 32nd number of a sequence needs one.
    const { rows } = await late.query("select nextval('batches') as batch")
    await store.append([message({ message_id: 'fast' })])
    await appears(store, 'fast')
    const { data, next } = await readFeed(store)
    t.same(idsOf(data), ['first', 'fast'])
    const insert = INSERT.replace("nextval('batches')", `${rows[0]?.batch}::bigint`)
    await late.query(insert, ['late'])
    await late.query('commit')
    await appears(store, 'late')
    t.same(idsOf((await readFeed(store, { after: next })).data), ['late'])
    t.same(idsOf((await readFeed(store)).data), ['first', 'fast', 'late'])
  })

  t.test('a restored dump keeps its order, and new messages follow', async (t) => {
    const url = await createDatabase(t)
    const store = await openStore(t, url)
    await store.append([message({ message_id: 'a' })])
    await store.append([message({ message_id: 'b' })])
    await store.close()
    // As if the cluster of the dump had been ahead by a billion transactions.
    await execute(
      url,
      'update feed_batches set xid = ((xid::text)::bigint + 1000000000)::text::xid8',
    )

    const restored = await openStore(t, url)
    await restored.append([message({ message_id: 'c' })])
    await appears(restored, 'c')
    const { data, next } = await readFeed(restored)
    t.same(idsOf(data), ['a', 'b', 'c'])
    await restored.append([message({ message_id: 'd' })])
    await appears(restored, 'd')
    t.same(idsOf((await readFeed(restored, { after: next })).data), ['d'])
  })

  for (const column of ['start_xid', 'xid'] as const) {
    t.test(
      `a restored dump whose messages were removed (${column}) begins a new epoch`,
      async (t) => {
        const url = await createDatabase(t)
        const store = await openStore(t, url)
        await store.append([message({ message_id: 'a' }), message({ message_id: 'b' })])
        await appears(store, 'b')
        const first = await readFeed(store)
        await store.removal.erase({ ids: column === 'xid' ? ['b'] : ['a', 'b'] })
        await store.removal.erase({ ids: ['c'] })
        await store.close()
        const later = (expression: string) => `${expression} + 1000000000`
        if (column === 'xid') {
          await execute(url, `update removed_messages set xid = ${later('xid')}`)
        } else await execute(url, `update feed_state set start_xid = ${later('start_xid')}`)

        const restored = await openStore(t, url)
        await restored.append([message({ message_id: 'd' })])
        await appears(restored, 'd')
        t.same(idsOf((await readFeed(restored)).data).at(-1), 'd')
        const [epoch = 0] = first.next.position
        t.equal((await restored.feedEnd()).position[0], epoch + 1)
      },
    )
  }
})
