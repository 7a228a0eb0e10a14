import { existsSync, linkSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { SqliteStore } from '../../src/db/sqlite/store.ts'
import { folderOf, ONE_ERROR_LINE, runEntry, wire } from '../service.ts'

const ENVIRONMENT = { DATABASE_URL: 'sqlite:///app.db' }
const ALL = { order: 'asc' as const, limit: 100, offset: 0 }

const line = (id: string, fields: Record<string, unknown> = {}) =>
  JSON.stringify({ ...JSON.parse(wire({ message_id: id })), ...fields })

/** Maximum bytes of a line. */
const LINE_LIMIT = 16 * 1024 * 1024

t.test('stores each valid message once, even if it is repeated', async (t) => {
  const lines = [
    line('a', { text: 'Ärger', created_at: '2020-02-29T00:00:00Z', unknown: 1 }),
    line('b', { text: null, created_at: '2020-02-29T05:30:00.5+05:30' }),
    '',
    line('c'),
    line('a', { text: 'later' }),
  ]
  writeFileSync(`${folderOf(t)}/in.ndjson`, lines.join('\r\n'))
  t.strictSame(await runEntry(t, ['import', 'in.ndjson'], ENVIRONMENT), {
    status: 0,
    stdout: 'created 3, duplicate 1 (1 conflicting), rejected 0\n',
    stderr: `database: ${folderOf(t)}/app.db\n`,
  })
  t.match(await runEntry(t, ['import', 'in.ndjson'], ENVIRONMENT), {
    status: 0,
    stdout: 'created 0, duplicate 4 (1 conflicting), rejected 0\n',
  })

  const store = await SqliteStore.open(`${folderOf(t)}/app.db`)
  t.teardown(() => store.close())
  t.equal(store.status.backlog, 0)
  const { data, total } = await store.page(ALL)
  t.equal(total, 3)
  const [a, b, c] = data
  t.match(a, { text: 'Ärger', created_at: '2020-02-29T00:00:00Z', from_msisdn: '+919876543210' })
  t.match(b, { text: null, created_at: '2020-02-29T00:00:00.5Z' })
  t.ok(Math.abs(Date.parse(c?.created_at ?? '') - Date.now()) < 60_000, 'stored now')
  t.equal((await store.page({ ...ALL, q: 'ärg' })).total, 1)
})

t.test('reports rejected lines with reasons, and stores the rest', async (t) => {
  const input = Buffer.concat([
    Buffer.from(`${line('a')}\n`),
    Buffer.from(`{"message_id": 5, "from": "123", "to": "+1", "ts": "2025-02-30T10:00:00Z"}\n`),
    Buffer.from('not json\n'),
    Buffer.from([0x22, 0xff, 0x22, 0x0a]),
    Buffer.from('[]\n'),
    Buffer.from(`${line('c', { created_at: 'yesterday' })}\n`),
    Buffer.from(`${line('d', { pad: 'x'.repeat(LINE_LIMIT) })}\n`),
    Buffer.from(`${line('e', { text: 'x'.repeat(4097) })}\n`),
    Buffer.from(line('f')),
  ])
  const { status, stdout, stderr } = await runEntry(t, ['import', '-'], ENVIRONMENT, input)
  t.equal(status, 1)
  t.equal(stdout, 'created 2, duplicate 0, rejected 7\n')
  t.same(stderr.split('\n').slice(1), [
    "line 2: message_id must be a string; from: Phone number must start with '+'; ts: Timestamp must be an ISO-8601 UTC date and time that exists, ending with Z, such as 2025-01-15T10:00:00Z",
    'line 3: line is not valid JSON',
    'line 4: line is not valid UTF-8',
    'line 5: line must be a JSON object',
    'line 6: created_at must be an RFC 3339 timestamp that exists, such as 2025-01-15T10:00:05Z',
    'line 7: line is longer than 16 MiB',
    'line 8: text must be at most 4096 characters, without NUL or unpaired surrogates',
    '',
  ])
})

t.test('rejects lines with senders or payloads that cannot be stored', async (t) => {
  const line = (message_id: string, from: string, payload: string) =>
    `{"message_id":"${message_id}","from":"${from}","to":"","ts":"2025-01-15T10:00:00Z","source":"meta","type":"text","payload":${payload}}\n`
  const deep = `${'{"1":'.repeat(100_000)}1${'}'.repeat(100_000)}`
  const longest = line('longest', '😀'.repeat(140), 'null')
  const input = longest + line('sender', 'x'.repeat(141), 'null') + line('deep', 'x', deep)
  const { status, stdout, stderr } = await runEntry(t, ['import', '-'], ENVIRONMENT, input)
  t.equal(status, 1)
  t.equal(stdout, 'created 1, duplicate 0, rejected 2\n')
  t.match(stderr, /^line 2: from must be at most 140 characters/m)
  t.match(stderr, /^line 3: payload is nested too deeply$/m)
})

t.test('reports the first 20 rejected lines and the number of further ones', async (t) => {
  const input = `${'{}\n'.repeat(33)}${line('a')}\n`
  const args = ['import', '--rejected', 'rejected.txt', '-']
  const { status, stdout, stderr } = await runEntry(t, args, ENVIRONMENT, input)
  t.equal(status, 1)
  t.equal(stdout, 'created 1, duplicate 0, rejected 33\n')
  const reported = stderr.trimEnd().split('\n').slice(1)
  t.equal(reported.length, 21)
  t.match(reported[19], /^line 20: message_id is required; from is required/)
  t.equal(reported[20], '… and 13 more rejected')
  const listed = readFileSync(`${folderOf(t)}/rejected.txt`, 'utf8')
    .trimEnd()
    .split('\n')
  t.equal(listed.length, 33, '--rejected lists all of them')
  t.match(listed[32], /^line 33: message_id is required; from is required/)
})

t.test('accepts a line of the maximum length and rejects longer ones', async (t) => {
  const pad = LINE_LIMIT - line('a', { pad: '' }).length
  const input = `${line('a', { pad: 'x'.repeat(pad) })}\n${line('b', { pad: 'x'.repeat(pad + 1) })}\n${'x'.repeat(17_000_000)}`
  const { stdout, stderr } = await runEntry(t, ['import', '-'], ENVIRONMENT, input)
  t.equal(stdout, 'created 1, duplicate 0, rejected 2\n')
  t.match(stderr, /\nline 2: line is longer than 16 MiB\nline 3: line is longer than 16 MiB\n$/)
})

t.test('reads a compressed file in several batches', async (t) => {
  const count = 15_001
  const lines = Array.from({ length: count }, (_, n) => line(`m${n}`))
  writeFileSync(`${folderOf(t)}/in.ndjson.gz`, gzipSync(lines.join('\n')))
  const { status, stdout } = await runEntry(t, ['import', 'in.ndjson.gz'], ENVIRONMENT)
  t.equal(status, 0)
  t.equal(stdout, `created ${count}, duplicate 0, rejected 0\n`)
  const store = await SqliteStore.open(`${folderOf(t)}/app.db`)
  t.teardown(() => store.close())
  t.equal((await store.stats()).total_messages, count)
  t.equal((await store.page({ ...ALL, offset: count - 1 })).data[0]?.message_id, 'm9999')
})

t.test('stores the complete lines of a truncated file and reports the error', async (t) => {
  const count = 10_000
  const lines = Array.from({ length: count }, (_, n) => line(`m${n}`, { text: `${n}`.repeat(20) }))
  const whole = gzipSync(lines.join('\n'))
  const path = `${folderOf(t)}/in.ndjson.gz`
  writeFileSync(path, whole.subarray(0, whole.length * 0.8))
  const { status, stdout, stderr } = await runEntry(t, ['import', 'in.ndjson.gz'], ENVIRONMENT)
  t.equal(status, 1)
  t.match(
    stderr,
    /lyftr-webhook: cannot read in\.ndjson\.gz: unexpected end of file; messages read until then are stored\n$/,
  )
  const created = Number(/^created (\d+), duplicate 0, rejected 0\n$/.exec(stdout)?.[1])
  t.ok(created > 0 && created < count, stdout)
  writeFileSync(path, whole)
  t.match(await runEntry(t, ['import', 'in.ndjson.gz'], ENVIRONMENT), {
    status: 0,
    stdout: `created ${count - created}, duplicate ${created}, rejected 0\n`,
  })
})

t.test('exits with status 1 and one line on errors', async (t) => {
  writeFileSync(`${folderOf(t)}/torn.gz`, gzipSync(line('a').repeat(100)).subarray(0, 60))
  for (const args of [['import'], ['import', 'a', 'b'], ['import', 'missing'], ['import', '--x']]) {
    const { status, stderr } = await runEntry(t, args, ENVIRONMENT)
    t.equal(status, 1)
    t.match(stderr, ONE_ERROR_LINE)
  }
  t.notOk(existsSync(`${folderOf(t)}/app.db`))
  for (const [args, url] of [
    [['import', 'torn.gz'], 'sqlite:///app.db'],
    [['import', '-'], 'sqlite:///:memory:'],
    [['import', '-'], 'sqlite:////dev/null/app.db'],
  ] as const) {
    const { status, stderr } = await runEntry(t, [...args], { DATABASE_URL: url })
    t.equal(status, 1)
    t.match(stderr, ONE_ERROR_LINE)
  }
})

t.test('--rejected does not overwrite the input or the database', async (t) => {
  const folder = folderOf(t)
  const input = `${line('a')}\n{}\n`
  writeFileSync(`${folder}/in.ndjson`, input)
  symlinkSync('in.ndjson', `${folder}/link`)
  linkSync(`${folder}/in.ndjson`, `${folder}/hard-link`)
  for (const list of ['in.ndjson', './in.ndjson', 'link', 'hard-link']) {
    const args = ['import', '--rejected', list, 'in.ndjson']
    const { status, stderr } = await runEntry(t, args, ENVIRONMENT)
    t.equal(status, 1, list)
    t.match(stderr, `lyftr-webhook: --rejected: ${list} is the file to import\n`)
  }
  t.equal(readFileSync(`${folder}/in.ndjson`, 'utf8'), input)

  const { stdout } = await runEntry(t, ['import', 'in.ndjson'], ENVIRONMENT)
  t.match(stdout, 'created 1')
  const database = readFileSync(`${folder}/app.db`)
  const args = ['import', '--rejected', 'app.db', 'in.ndjson']
  const { status, stderr } = await runEntry(t, args, ENVIRONMENT)
  t.equal(status, 1)
  t.match(stderr, 'lyftr-webhook: --rejected: app.db is the database\n')
  t.strictSame(readFileSync(`${folder}/app.db`), database)
  t.match(await runEntry(t, ['import', '--rejected', '/dev/null', '-'], ENVIRONMENT, '{}'), {
    status: 1,
    stdout: 'created 0, duplicate 0, rejected 1\n',
  })
})

t.test('--rejected does not overwrite the -wal, -shm and -journal files', async (t) => {
  const folder = folderOf(t)
  await runEntry(t, ['import', '-'], ENVIRONMENT, line('a'))
  symlinkSync('app.db', `${folder}/link.db`)
  for (const suffix of ['-wal', '-shm', '-journal']) {
    const file = `${folder}/app.db${suffix}`
    const reject = async (list: string, environment = ENVIRONMENT) => {
      const args = ['import', '--rejected', list, '-']
      const { status, stderr } = await runEntry(t, args, environment, '{}')
      t.equal(status, 1)
      t.match(stderr, `lyftr-webhook: --rejected: ${list} belongs to the database\n`)
    }
    symlinkSync(file, `${folder}/link${suffix}`)
    await reject(`link${suffix}`)
    t.notOk(existsSync(file), 'does not create it')
    writeFileSync(file, 'log')
    linkSync(file, `${folder}/hard-link${suffix}`)
    await reject(`./app.db${suffix}`)
    await reject(`hard-link${suffix}`, { DATABASE_URL: 'sqlite:///link.db' })
    t.equal(readFileSync(file, 'utf8'), 'log')
    rmSync(file)
  }
})

t.test('--rejected does not create the database or its files', async (t) => {
  for (const [list, reason] of [
    ['./app.db', 'is the database'],
    ['app.db-wal', 'belongs to the database'],
  ]) {
    const args = ['import', '--rejected', String(list), '-']
    const { status, stderr } = await runEntry(t, args, ENVIRONMENT, '{}')
    t.equal(status, 1)
    t.match(stderr, `lyftr-webhook: --rejected: ${list} ${reason}\n`)
    t.notOk(existsSync(`${folderOf(t)}/${list}`))
  }
})
