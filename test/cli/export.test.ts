import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { SqliteStore } from '../../src/db/sqlite/store.ts'
import {
  folderOf,
  ONE_ERROR_LINE,
  runEntry,
  SECRET,
  sign,
  spawnEntry,
  startService,
  wire,
} from '../service.ts'
import { messageLines } from './message-lines.ts'

const ENVIRONMENT = { DATABASE_URL: 'sqlite:///app.db' }

/** Returns all messages and statistics of a store. */
async function readAll(t: Test, file: string) {
  const store = await SqliteStore.open(`${folderOf(t)}/${file}`)
  const page = await store.page({ order: 'desc', limit: 10_000, offset: 0 })
  const contents = { page, stats: await store.stats() }
  await store.close()
  return contents
}

async function importAll(t: Test, lines: string[], file = 'app.db') {
  const environment = { DATABASE_URL: `sqlite:///${file}` }
  return await runEntry(t, ['import', '-'], environment, lines.join('\n'))
}

t.test('an import of an export yields the same messages and statistics', async (t) => {
  const lines = messageLines(2500)
  await importAll(t, lines)
  const { status, stdout, stderr } = await runEntry(t, ['export'], ENVIRONMENT)
  t.equal(status, 0)
  const [database, audit = ''] = stderr.split('\n')
  t.equal(database, `database: ${folderOf(t)}/app.db`)
  t.match(JSON.parse(audit), { level: 'INFO', audit: 'export', messages: Number })
  t.same(stdout.trimEnd().split('\n'), lines, 'in order of arrival, byte for byte')

  t.match(await importAll(t, [stdout], 'copy.db'), {
    status: 0,
    stdout: 'created 2500, duplicate 0, rejected 0\n',
  })
  t.strictSame(await readAll(t, 'copy.db'), await readAll(t, 'app.db'))

  const { child, ended } = spawnEntry(t, ['export', '--gzip'], ENVIRONMENT)
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  t.equal(await ended, 0)
  t.equal(gunzipSync(Buffer.concat(chunks)).toString(), stdout)
})

t.test('keeps the details of messages, and omits those of messages without any', async (t) => {
  const text = '😀'.repeat(400_000)
  const lines = [
    wire({ message_id: 'plain', text: 'x' }),
    JSON.stringify({
      message_id: 'other',
      from: 'US.1349',
      to: '',
      ts: '2025-01-15T10:00:00Z',
      text,
      source: 'meta',
      type: 'text',
      payload: { text: { body: text }, values: Array.from({ length: 1000 }, (_, n) => n) },
    }),
  ]
  await importAll(t, lines)
  const { stdout } = await runEntry(t, ['export'], ENVIRONMENT)
  const exported = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(
    exported,
    lines.map((line) => JSON.parse(line)),
  )
  t.strictSame(Object.keys(exported[0]), ['message_id', 'from', 'to', 'ts', 'text', 'created_at'])
  const found = await runEntry(t, ['export', '--source', 'meta', '--type=text'], ENVIRONMENT)
  t.match(JSON.parse(found.stdout), { message_id: 'other' })
})

t.test('applies the filters of GET /messages', async (t) => {
  await importAll(t, [
    ...messageLines(300),
    wire({ message_id: 'odd', from: '+1', text: 'Straße' }),
  ])
  const store = await SqliteStore.open(`${folderOf(t)}/app.db`)
  t.teardown(() => store.close())
  for (const { args, filter } of [
    { args: ['--from', '+3'], filter: { from: '+3' } },
    { args: ['--q', 'ärger'], filter: { q: 'ärger' } },
    { args: ['--q', ''], filter: { q: '' } },
    { args: ['--q', 'wort 1', '--from=+1'], filter: { q: 'wort 1', from: '+1' } },
    {
      args: ['--since', '2025-01-05T12:00:00+02:00', '--until', '2025-01-09T10:00:00.1Z'],
      filter: { since: '2025-01-05T10:00:00', until: '2025-01-09T10:00:00.1' },
    },
    { args: ['--from', '+99'], filter: { from: '+99' } },
    { args: ['--to', '+14155550100'], filter: { to: '+14155550100' } },
    { args: ['--to', '+1415555010'], filter: { to: '+1415555010' } },
  ]) {
    const { status, stdout } = await runEntry(t, ['export', ...args], ENVIRONMENT)
    t.equal(status, 0)
    const exported = stdout.split('\n').filter((line) => line !== '')
    const { data } = await store.page({ order: 'asc', limit: 1000, offset: 0, ...filter })
    t.same(
      exported.map((line) => JSON.parse(line).message_id).sort(),
      data.map(({ message_id }) => message_id).sort(),
      args.join(' '),
    )
  }
})

t.test('exports a snapshot while a service stores messages', async (t) => {
  const before = messageLines(5000)
  await importAll(t, before)
  const { url } = await startService(t)
  let acknowledged = 0
  let posting = true
  const posts = (async () => {
    while (posting) {
      const body = wire({ message_id: `live${acknowledged}` })
      const headers = { 'content-type': 'application/json', 'x-signature': sign(body, SECRET) }
      const { status } = await fetch(`${url}/webhook`, { method: 'POST', body, headers })
      if (status !== 200) throw new Error(`a post got ${status}`)
      acknowledged++
    }
  })()
  for (let round = 0; round < 3; round++) {
    const atLeast = acknowledged
    const { status, stdout } = await runEntry(t, ['export'], ENVIRONMENT)
    t.equal(status, 0)
    const ids = stdout.trimEnd().split('\n').slice(5000)
    t.ok(ids.length >= atLeast, 'includes messages acknowledged before the start')
    t.same(
      ids.map((line) => JSON.parse(line).message_id),
      Array.from(ids, (_, n) => `live${n}`),
      'without gaps',
    )
  }
  posting = false
  await posts
})

t.test('exits with 0 when the reader closes the pipe', async (t) => {
  await importAll(t, messageLines(20_000))
  const { child, stderr, ended } = spawnEntry(t, ['export'], ENVIRONMENT)
  child.stdout?.once('data', () => child.stdout?.destroy())
  t.equal(await ended, 0)
  const [database, audit] = stderr().split('\n')
  t.equal(database, `database: ${folderOf(t)}/app.db`)
  t.match(audit, '"audit":"export"')
})

t.test('exits with status 1 and one line on errors, and creates no file', async (t) => {
  writeFileSync(`${folderOf(t)}/other.db`, '')
  for (const [args, file] of [
    [['export'], 'missing.db'],
    [['export', '--since', 'yesterday'], 'other.db'],
    [['export', 'more'], 'other.db'],
    [['export'], 'other.db'],
  ] as const) {
    const environment = { DATABASE_URL: `sqlite:///${file}` }
    const { status, stdout, stderr } = await runEntry(t, [...args], environment)
    t.equal(status, 1)
    t.equal(stdout, '')
    t.match(stderr, ONE_ERROR_LINE)
  }
  t.notOk(existsSync(`${folderOf(t)}/missing.db`))
  t.equal(readFileSync(`${folderOf(t)}/other.db`).length, 0)
})
