import t from 'tap'
import { resetOffline, verifyOffline } from '../../../../src/db/postgres/offline/commands.ts'
import { runEntry, wire } from '../../../service.ts'
import { message } from '../../store-suite.ts'
import { createDatabase, execute, NO_SERVER, openStore } from '../server.ts'

/** Every kind of damage, and what is said about it. */
const DAMAGES: Record<string, string[]> = {
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
    'messages: 2 folded or keyed wrongly',
  ],
  "update messages set search_key = null where message_id in ('m1', 'm2')": [
    'messages: 2 folded or keyed wrongly',
  ],
  "update messages set ts_key = '2000-01-01T00:00:00' where message_id = 'm7'": [
    'days: 1 missing',
    'days: 1 counted wrongly',
    'minutes: 1 missing',
    'minutes: 1 counted wrongly',
    'messages: 1 folded or keyed wrongly',
  ],
  'insert into uncounted values (999999, 3)': ['uncounted: 1 counted wrongly'],
  // As if its messages had not been counted: then they would be twice.
  'insert into uncounted select batch, count(*) from messages group by batch': [
    'totals: 50 off in the total of messages',
    'totals: 5 off in the total of senders',
    'senders: 5 surplus',
    'days: 2 surplus',
    'minutes: 2 surplus',
  ],
}

t.test('finds every kind of damage, and repairs it', { skip: NO_SERVER }, async (t) => {
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

  for (const [damage, differences] of Object.entries(DAMAGES)) {
    await execute(environment.DATABASE_URL, damage)
    const said = `${differences.join('\n')}\n`
    const found = await verify('--repair')
    t.equal(found.stdout, `${said}${fine}`, damage)
    t.equal(found.status, 0)
  }
})

t.test(
  'repairs the counters without leaving messages uncounted',
  { skip: NO_SERVER },
  async (t) => {
    const url = await createDatabase(t)
    const store = await openStore(t, url)
    await store.append([
      message({ message_id: 'a' }),
      message({ message_id: 'b', ts: '2024-02-29T23:59:60Z' }),
    ])
    await store.close()
    await execute(url, 'update totals set messages = 7', 'delete from minutes')
    await resetOffline(url)
    t.same(await execute(url, 'select * from uncounted'), [])
    t.same((await verifyOffline(url, () => {})).differences, [])
  },
)

t.test('reports how many stored messages are not rolled up yet', { skip: NO_SERVER }, async (t) => {
  const environment = { DATABASE_URL: await createDatabase(t) }
  const store = await openStore(t, environment.DATABASE_URL)
  const append = (...ids: string[]) =>
    store.append(ids.map((message_id) => message({ message_id })))
  await append('a', 'b')
  await store.catchUp()
  await store.close()
  // As another instance stores a batch: in one transaction, with its row in `uncounted`.
  await execute(
    environment.DATABASE_URL,
    `insert into messages select 99, place, message_id || 'x', from_msisdn, to_msisdn, ts, text, folded,
        search_key, created_at, ts_key from messages`,
    'insert into uncounted values (99, 2)',
  )
  t.match(await runEntry(t, ['verify'], environment), {
    status: 0,
    stdout: 'no differences in 2 messages; 2 are not indexed yet; queries read them directly\n',
  })
})

t.test(
  'without --repair it changes nothing and tells by its status',
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

t.test('what cannot be done ends in one line with status 1', { skip: NO_SERVER }, async (t) => {
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
    await execute(environment.DATABASE_URL, "select * from pg_tables where schemaname = 'public'"),
    [],
    'and makes no table',
  )
})
