import { execFileSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { SqliteStore } from '../../../src/db/sqlite/store.ts'
import { message } from '../store-suite.ts'

/** Creates a file as the legacy Python service does, with the `sqlite3` program. */
function legacyFile(t: Test, inserts: string): string {
  const path = `${t.testdir()}/app.db`
  execFileSync('sqlite3', [path], {
    input: `
      CREATE TABLE messages (
        message_id TEXT PRIMARY KEY,
        from_msisdn TEXT NOT NULL,
        to_msisdn TEXT NOT NULL,
        ts TEXT NOT NULL,
        text TEXT,
        created_at TEXT NOT NULL
      );
      ${inserts}`,
  })
  return path
}

const row = (id: string, ts: string, text = "'hello'") =>
  `INSERT INTO messages VALUES (${id}, '+1', '+2', '${ts}', ${text}, '2025-01-15T10:00:05Z');`

t.test('adopts a file of the legacy Python service in place without losing a row', async (t) => {
  const long = 'x'.repeat(2000)
  const path = legacyFile(
    t,
    [
      row("'late'", '2025-01-15T10:00:00.5Z'),
      row("'early'", '2025-01-15T10:00:00Z', 'NULL'),
      row("'odd'", 'yesterday'),
      row("'odder'", '2025-01-15T10:00Z'),
      row(`'${long}'`, '2025-01-15T09:00:00Z', "'ÄRGER'"),
      row("''", '2025-01-15T08:00:00Z', `'${long.repeat(3)}'`),
      row('NULL', '2025-01-15T07:00:00Z'),
      'CREATE VIEW everything AS SELECT * FROM messages;',
      'CREATE INDEX by_ts ON messages (ts);',
    ].join('\n'),
  )
  const store = await SqliteStore.open(path)
  t.equal(store.opened.withoutInstant, 2)

  const { data, total } = await store.page({ order: 'asc' as const, limit: 100, offset: 0 })
  t.equal(total, 7)
  t.same(
    data.map(({ message_id }) => message_id),
    ['odd', 'odder', data[2]?.message_id, '', long, 'early', 'late'],
  )
  t.match(data[2]?.message_id, /^null::7:/)
  t.strictSame(data[5], {
    message_id: 'early',
    from_msisdn: '+1',
    to_msisdn: '+2',
    ts: '2025-01-15T10:00:00Z',
    text: null,
    created_at: '2025-01-15T10:00:05Z',
  })
  t.equal(
    (await store.page({ order: 'asc', limit: 1, offset: 0, since: '0000-01-01T00:00:00' })).total,
    5,
  )
  t.equal((await store.page({ order: 'asc', limit: 1, offset: 0, q: 'ärger' })).total, 1)
  const stats = await store.stats()
  t.equal(stats.total_messages, 7)
  t.equal(stats.first_message_ts, '2025-01-15T07:00:00Z')
  t.same(await store.append([message({ message_id: 'early', text: null })]), ['duplicate'])
  t.same(await store.append([message({ message_id: 'early', text: '' })]), ['conflict'])
  await store.close()

  const again = await SqliteStore.open(path)
  t.equal((await again.stats()).total_messages, 7)
  await again.close()
  t.equal(
    execFileSync('sqlite3', [path, 'SELECT count(*) FROM everything'], { encoding: 'utf8' }).trim(),
    '7',
  )
  t.equal(
    execFileSync('sqlite3', [path, 'PRAGMA integrity_check'], { encoding: 'utf8' }).trim(),
    'ok',
  )
})

t.test('finds an adopted text with NUL by its substrings only', async (t) => {
  const path = legacyFile(t, row("'a'", '2025-01-15T10:00:00Z', "'Hello' || char(0) || 'you'"))
  const store = await SqliteStore.open(path)
  t.teardown(() => store.close())
  const found = async (q: string) =>
    (await store.page({ order: 'asc', limit: 1, offset: 0, q })).total
  t.equal(await found('hello'), 1)
  t.equal(await found('oyou'), 0)
  t.equal(await found('lo\0yo'), 1)
})

t.test('leaves the file unchanged when adoption fails', async (t) => {
  const path = `${t.testdir()}/app.db`
  execFileSync('sqlite3', [path], {
    input: `
      CREATE TABLE messages (message_id, from_msisdn, to_msisdn, ts, text, created_at);
      INSERT INTO messages VALUES ('a', NULL, '+2', 'x', NULL, 'y');`,
  })
  await t.rejects(SqliteStore.open(path))
  t.equal(
    execFileSync('sqlite3', [path, 'SELECT * FROM messages'], { encoding: 'utf8' }).trim(),
    'a||+2|x||y',
  )
})
