import pg from 'pg'
import t from 'tap'
import { countScans, createDatabase, execute, NO_SERVER, openStore } from './server.ts'

/** Inserts 20,000 messages in batches of 50, the batch size that the planner expects afterwards. */
const FILL = `
  insert into messages (batch, ordinal, message_id, from_msisdn, to_msisdn, ts, text, folded, created_at, ts_key)
  select n / 50, n % 50, 'm' || n, '+' || n % 97, '+2', at || 'Z', 'hello', 'hello', at || 'Z', at
  from (select n, to_char(timestamp '2025-01-01' + n * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS') as at
    from generate_series(0, 19999) as n) as numbered`

/** Inserts 200 pending batches of one message. */
const RECENT = `
  with fresh as (
    insert into messages (batch, ordinal, message_id, from_msisdn, to_msisdn, ts, created_at, ts_key)
    select n, 1, 'r' || n, '+1', '+2', '2025-01-02T00:00:00Z', '', '2025-01-02T00:00:00'
    from generate_series(1001, 1200) as n returning batch
  )
  insert into pending_batches (batch, messages) select batch, 1 from fresh`

t.test(
  'reads look up pending messages by batch when statistics are stale',
  { skip: NO_SERVER },
  async (t) => {
    const url = await createDatabase(t)
    const setup = await openStore(t, url)
    await setup.close()
    await execute(
      url,
      FILL,
      'insert into pending_batches select batch, count(*) from messages group by batch having batch < 1000',
    )
    const rollingUp = await openStore(t, url)
    await rollingUp.catchUp()
    await rollingUp.close()
    await execute(url, 'truncate pending_batches', 'analyze', RECENT)

    // While this lock is held, no store rolls up.
    const client = new pg.Client({ connectionString: url, application_name: 'lock' })
    await client.connect()
    t.teardown(() => client.end())
    await client.query("select pg_advisory_lock(x'6c796674'::int, 2)")

    const before = await countScans(url)
    const store = await openStore(t, url)
    const page = { order: 'asc' as const, limit: 5, offset: 0 }
    t.equal((await store.stats()).total_messages, 20_200)
    t.equal((await store.page({ ...page, since: '2025-01-02T00:00:00' })).total, 18_760)
    t.equal((await store.page({ ...page, until: '2025-01-02T00:00:01' })).total, 1641)
    t.equal((await store.page({ ...page, from: '+1' })).total, 407)
    t.equal((await store.page({ ...page, offset: 15_000 })).data[0]?.message_id, 'm14800')
    const [busiest] = (await store.senders({ prefix: '+', order: 'count', limit: 5 })).data
    t.match(busiest, { from: '+1', count: 407, last_message_ts: '2025-01-14T21:03:00Z' })
    await store.close()
    t.equal(await countScans(url), before, 'no sequential scan of messages')
  },
)
