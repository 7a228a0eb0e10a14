import t from 'tap'
import { resetOffline, verifyOffline } from '../../../../src/db/postgres/offline/commands.ts'
import { runEntry, wire } from '../../../service.ts'
import { message } from '../../store-suite.ts'
import { createDatabase, execute, NO_SERVER, openStore } from '../server.ts'

/** Statements that corrupt counters or columns, with the differences that `verify` prints. */
const CORRUPTIONS: Record<string, string[]> = {
  'delete from totals': [
    'totals: 1 missing',
    'totals: 50 off in the total of messages',
    'totals: 5 off in the total of senders',
  ],
  'update totals set messages = 49, senders = 7': [
    'totals: 1 off in the total of messages',
    'totals: 2 off in the total of senders',
  ],
  "delete from senders where msisdn = '+1'": ['senders: 1 missing'],
  "insert into senders values ('+9', 0), ('+8', 1)": ['senders: 2 surplus'],
  'update days set count = count + 1': ['days: 2 counted wrongly'],
  "update minutes set minute = '2000-01-01T00:00' where minute like '2024%'": [
    'minutes: 1 missing',
    'minutes: 1 surplus',
  ],
  "update messages set folded = 'other' where message_id in ('m1', 'm2')": [
    'messages: 2 with wrong folded text or keys',
  ],
  "update messages set search_key = null where message_id in ('m1', 'm2')": [
    'messages: 2 with wrong folded text or keys',
  ],
  "update messages set ts_key = '2000-01-01T00:00:00' where message_id = 'm7'": [
    'days: 1 missing',
    'days: 1 counted wrongly',
    'minutes: 1 missing',
    'minutes: 1 counted wrongly',
    'messages: 1 with wrong folded text or keys',
  ],
  'insert into pending_batches values (999999, 3)': [
    'pending_batches: 1 counted wrongly',
    'feed_batches: 1 surplus',
  ],
  'delete from feed_batches': ['feed_batches: 1 missing'],
  'insert into feed_batches select epoch + 1, xid, batch from feed_batches': [
    'feed_batches: 1 surplus',
  ],
  'update feed_state set unordered_batch = (select max(batch) from messages)': [
    'feed_batches: 1 surplus',
  ],
  // The counters already include these batches, so the next rollup would count them twice.
  'insert into pending_batches select batch, count(*) from messages group by batch': [
    'totals: 50 off in the total of messages',
    'totals: 5 off in the total of senders',
    'senders: 5 surplus',
    'days: 2 surplus',
    'minutes: 2 surplus',
    'feed_batches: 1 surplus',
  ],
}

t.test('finds and repairs every kind of corruption', { skip: NO_SERVER }, async (t) => {
  const environment = { DATABASE_URL: await createDatabase(t) }
  const lines = Array.from({ length: 50 }, (_, n) =>
    wire({
      message_id: `m${n}`,
      from: `+${n % 5}`,
      ts: `202${n % 2 ? 4 : 5}-01-15T10:00:00.${n}Z`,
      text: n % 3 ? `Größe ${n}` : null,
    }),
  )
  await runEntry(t, ['import', '-'], environment, lines.join('\n'))
  const fine = 'no differences in 50 messages\n'
  const verify = (...args: string[]) => runEntry(t, ['verify', ...args], environment)
  t.match(await verify(), { status: 0, stdout: fine })

  for (const [corruption, differences] of Object.entries(CORRUPTIONS)) {
    await execute(environment.DATABASE_URL, corruption)
    const report = `${differences.join('\n')}\n`
    const found = await verify('--repair')
    t.equal(found.stdout, `${report}${fine}`, corruption)
    t.equal(found.status, 0)
  }
})

t.test('leaves no message pending after a repair', { skip: NO_SERVER }, async (t) => {
  const url = await createDatabase(t)
  const store = await openStore(t, url)
  await store.append([
    message({ message_id: 'a' }),
    message({ message_id: 'b', ts: '2024-02-29T23:59:60Z' }),
  ])
  await store.close()
  await execute(url, 'update totals set messages = 7', 'delete from minutes')
  await resetOffline(url)
  t.same(await execute(url, 'select * from pending_batches'), [])
  t.same((await verifyOffline(url, () => {})).differences, [])
})

t.test('reports the number of pending messages', { skip: NO_SERVER }, async (t) => {
  const environment = { DATABASE_URL: await createDatabase(t) }
  const store = await openStore(t, environment.DATABASE_URL)
  const append = (...ids: string[]) =>
    store.append(ids.map((message_id) => message({ message_id })))
  await append('a', 'b')
  await store.catchUp()
  await store.close()
  // Another instance stores a batch, with its row in `pending_batches`.
  await execute(
    environment.DATABASE_URL,
    `insert into messages select 99, ordinal, message_id || 'x', from_msisdn, to_msisdn, ts, text, folded,
        search_key, created_at, ts_key from messages`,
    'insert into pending_batches values (99, 2)',
  )
  t.match(await runEntry(t, ['verify'], environment), {
    status: 0,
    stdout: 'no differences in 2 messages; 2 are not indexed yet; queries read them directly\n',
  })
})

t.test(
  'reports differences by its exit status and changes nothing without --repair',
  { skip: NO_SERVER },
  async (t) => {
    const environment = { DATABASE_URL: await createDatabase(t) }
    await runEntry(t, ['import', '-'], environment, wire({ message_id: 'm' }))
    await execute(environment.DATABASE_URL, 'update senders set count = 2')
    for (const _ of [1, 2]) {
      t.match(await runEntry(t, ['verify'], environment), {
        status: 1,
        stdout: 'senders: 1 counted wrongly\n',
      })
    }
  },
)

t.test(
  'exits with status 1 and one line if the database does not have the tables',
  { skip: NO_SERVER },
  async (t) => {
    const environment = { DATABASE_URL: await createDatabase(t) }
    for (const args of [['verify'], ['verify', '--repair'], ['export']]) {
      const { status, stdout, stderr } = await runEntry(t, args, environment)
      t.equal(status, 1)
      t.equal(stdout, '')
      t.match(
        stderr,
        /^database: [^\n]+\nlyftr-webhook: DATABASE_URL: cannot read postgres:[^\n]+ does not exist\n$/,
      )
    }
    t.same(
      await execute(
        environment.DATABASE_URL,
        "select * from pg_tables where schemaname = 'public'",
      ),
      [],
      'creates no table',
    )
  },
)
