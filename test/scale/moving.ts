import { readFileSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { writeMessages } from '../../tools/corpus.ts'
import { assertFeed, startConsumers } from '../feed-consumers.ts'
import { folderOf, runEntry, spawnEntry } from '../service.ts'
import { assertExact } from './recount.ts'
import { createInstance, startCluster, startTopology } from './topology.ts'
import { LOAD_MS, Traffic } from './traffic.ts'

/** Messages of the old service before the move. */
const OLD_MESSAGES = 10_000

/** Filters of the pages to compare, in both orders and at several offsets. */
const FILTERS = [
  '',
  '&since=2023-01-01T00:00:00Z',
  '&until=2023-01-01T00:00:00Z',
  '&q=please',
  '&q=quixotic',
  '&q=П',
  '&q=ß',
]

/**
 * Runs `lyftr-webhook export | lyftr-webhook import -`.
 * @returns the exit statuses and the reported counts.
 */
async function move(t: Test, from: string, to: string, options: string[] = []) {
  const exporting = spawnEntry(t, ['export'], { DATABASE_URL: from })
  const importing = spawnEntry(t, ['import', ...options, '-'], { DATABASE_URL: to })
  if (!exporting.child.stdout || !importing.child.stdin) throw new Error('nothing to pipe')
  let stdout = ''
  importing.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  await pipeline(exporting.child.stdout, importing.child.stdin)
  const statuses = [await exporting.ended, await importing.ended]
  const [, created, duplicate, rejected] =
    /^created (\d+), duplicate (\d+), rejected (\d+)\n$/.exec(stdout) ?? []
  return {
    statuses,
    created: Number(created),
    duplicate: Number(duplicate),
    rejected: Number(rejected),
  }
}

/** Returns the exported lines of a database, sorted. */
async function exportSorted(t: Test, database: string): Promise<string[]> {
  const { status, stdout } = await runEntry(t, ['export'], { DATABASE_URL: database })
  t.equal(status, 0, 'the export succeeds')
  return stdout.trimEnd().split('\n').sort()
}

async function json(url: string): Promise<{ total: number }> {
  const response = await fetch(url)
  return (await response.json()) as { total: number }
}

t.test('moves from SQLite under traffic, with a pause', async (t) => {
  const file = `sqlite:///${folderOf(t)}/old.db`
  const corpus = [...writeMessages(OLD_MESSAGES)].map(({ from_msisdn, to_msisdn, ...rest }) =>
    JSON.stringify({ ...rest, from: from_msisdn, to: to_msisdn }),
  )
  await runEntry(t, ['import', '-'], { DATABASE_URL: file }, corpus.join('\n'))
  const old = await createInstance(t, { DATABASE_URL: file })
  await old.start()
  const cluster = await startCluster(t)
  const database = await cluster.createDatabase('moved')
  const { instances, balancer } = await startTopology(t, database)
  const consumers = startConsumers(t, () => balancer.url)

  const traffic = new Traffic(t, old.url, 'moving-')
  await delay(LOAD_MS)
  const started = performance.now()
  const first = await move(t, file, database)
  const seconds = (performance.now() - started) / 1000
  t.match(first, { statuses: [0, 0], duplicate: 0, rejected: 0 }, 'creates every message')
  t.ok(first.created > OLD_MESSAGES, `moves ${first.created} messages in ${seconds.toFixed(1)} s`)

  await delay(LOAD_MS)
  t.equal(await old.terminate(), 0, 'the old service exits with status 0')
  const rest = traffic.acknowledged.length + OLD_MESSAGES - first.created
  const second = await move(t, file, database)
  t.match(
    second,
    { statuses: [0, 0], rejected: 0, duplicate: first.created },
    'the second run creates only the rest',
  )
  t.ok(second.created >= rest, `the second run creates ${second.created} messages`)

  // Opens the old database on another port, which gets no traffic.
  const comparison = await createInstance(t, { DATABASE_URL: file })
  await comparison.start()
  for (const { url } of instances) {
    t.strictSame(
      await json(`${url}/stats`),
      await json(`${comparison.url}/stats`),
      'returns the same statistics',
    )
  }
  for (const filter of FILTERS) {
    for (const order of ['asc', 'desc']) {
      const { total } = await json(`${comparison.url}/messages?limit=1${filter}`)
      for (const offset of [0, Math.floor(total / 2), Math.max(0, total - 50)]) {
        const path = `/messages?limit=100&order=${order}&offset=${offset}${filter}`
        const [before, after] = [await json(comparison.url + path), await json(balancer.url + path)]
        t.strictSame(after, before, `${path.slice(0, 80)}: the same page of ${before.total}`)
      }
    }
  }
  const [before, after] = [await exportSorted(t, file), await exportSorted(t, database)]
  t.ok(
    after.length === before.length && after.every((line, index) => line === before[index]),
    `all ${before.length} messages are the same`,
  )
  await comparison.terminate()

  traffic.url = balancer.url
  await delay(LOAD_MS)
  await traffic.end()
  t.pass(traffic.summary)
  await assertExact(t, cluster, 'moved', instances, traffic.acknowledged)
  const fed = await assertFeed(t, consumers, balancer.url, traffic.acknowledged)
  const rows = await cluster.query('moved', 'select from messages')
  t.equal(fed.length, rows.length, 'the feed has every message that was moved or posted')
})

t.test(
  'moves from SQLite without a pause: senders switch before the old service stops',
  async (t) => {
    const file = `sqlite:///${folderOf(t)}/old.db`
    const old = await createInstance(t, { DATABASE_URL: file })
    await old.start()
    const cluster = await startCluster(t)
    const database = await cluster.createDatabase('moved')
    const { instances, balancer } = await startTopology(t, database)

    const traffic = new Traffic(t, old.url, 'no-pause-', { readers: 0 })
    await delay(LOAD_MS)
    await move(t, file, database)
    traffic.url = balancer.url
    await delay(LOAD_MS)
    t.equal(await old.terminate(), 0, 'the old service exits with status 0')
    t.match(await move(t, file, database), { statuses: [0, 0], rejected: 0 }, 'moves the rest')
    await delay(LOAD_MS)
    await traffic.end()
    t.equal(traffic.failures.size, 0, traffic.summary)
    await assertExact(t, cluster, 'moved', instances, traffic.acknowledged)
  },
)

t.test('lists messages that cannot be moved, and keeps them in the file', async (t) => {
  const path = `${folderOf(t)}/legacy.db`
  const legacy = new Database(path)
  legacy.exec(`create table messages (
    message_id text primary key, from_msisdn text not null, to_msisdn text not null, ts text not null, text text,
    created_at text not null)`)
  const insert = legacy.prepare(
    "insert into messages values (?, ?, '+2', ?, ?, '2025-01-15T10:00:05Z')",
  )
  const instant = '2025-01-15T10:00:00Z'
  insert.run('fits', '+1', instant, 'text')
  insert.run('no instant', '+1', 'yesterday', 'text')
  insert.run('no text of PostgreSQL', '+1', instant, 'a\0b')
  insert.run('no number', '', instant, 'text')
  insert.run('fits too', '+1', instant, null)
  legacy.close()
  const old = await createInstance(t, { DATABASE_URL: `sqlite:///${path}` })
  await old.start()

  const cluster = await startCluster(t)
  const database = await cluster.createDatabase('moved')
  const list = `${folderOf(t)}/rejected.txt`
  t.match(await move(t, `sqlite:///${path}`, database, ['--rejected', list]), {
    statuses: [0, 1],
    created: 2,
    duplicate: 0,
    rejected: 3,
  })
  t.match(readFileSync(list, 'utf8').split('\n'), [
    /^line 2: ts: /,
    /^line 3: text must be .* without NUL/,
    /^line 4: from: /,
    '',
  ])
  const rows = await cluster.query('moved', 'select message_id from messages order by 1')
  t.strictSame(rows, [{ message_id: 'fits' }, { message_id: 'fits too' }])
  t.equal(
    (await exportSorted(t, `sqlite:///${path}`)).length,
    5,
    'the file still has every message',
  )
})
