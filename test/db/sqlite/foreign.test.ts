import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { StoreOpenError } from '../../../src/db/message-store.ts'
import { APPLICATION_ID } from '../../../src/db/sqlite/migrations/migrate.ts'
import { SqliteStore } from '../../../src/db/sqlite/store.ts'

/** Returns the content of every file in a folder, in hex. */
function bytesOf(folder: string): Record<string, string> {
  const names = readdirSync(folder).sort()
  return Object.fromEntries(names.map((name) => [name, readFileSync(`${folder}/${name}`, 'hex')]))
}

/** Asserts that the store rejects the database and changes no byte. */
async function assertRejected(t: Test, folder: string, reason: RegExp): Promise<void> {
  const before = bytesOf(folder)
  const error = await SqliteStore.open(`${folder}/app.db`).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  t.ok(error instanceof StoreOpenError, 'rejected')
  const message = error instanceof Error ? error.message : ''
  t.match(message, reason)
  t.notMatch(message, /\n/, 'the message has one line')
  t.strictSame(bytesOf(folder), before, 'no byte was changed and no file was added')
}

const LEGACY_COLUMNS = 'message_id text primary key, from_msisdn, to_msisdn, ts, text, created_at'

const DATABASES: Record<string, [sql: string, reason: RegExp]> = {
  'without a table messages': [
    'create table notes (body); insert into notes values (1)',
    /it has notes/,
  ],
  'with other columns in messages': [
    'create table messages (id integer, body text)',
    /has the columns body, id; expected are created_at/,
  ],
  'with only a view': ['create view v as select 1', /another application/],
  'with a view called messages': ['create view messages as select 1 as id', /has the columns id;/],
  'with tables that adoption would create': [
    `create table messages (${LEGACY_COLUMNS}); create table senders (id)`,
    /it has tables whose names this service needs \(senders\)/,
  ],
  'with an empty table of another program that uses Kysely': [
    'create table kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null)',
    /another application \(it has kysely_migration\)/,
  ],
  'of another program that uses Kysely': [
    `create table kysely_migration (name text, timestamp text); insert into kysely_migration values ('a', 'b')`,
    /another application/,
  ],
}

for (const [what, [sql, reason]] of Object.entries(DATABASES)) {
  for (const mode of ['delete', 'wal']) {
    t.test(`rejects a database ${what} without changing it, journal_mode ${mode}`, async (t) => {
      const folder = t.testdir()
      const other = new Database(`${folder}/app.db`)
      other.pragma(`journal_mode = ${mode}`)
      other.exec(sql)
      other.close()
      await assertRejected(t, folder, reason)
    })
  }
}

t.test('rejects a legacy database with any table that adoption would create', async (t) => {
  const folder = t.testdir()
  await (await SqliteStore.open(`${folder}/new.db`)).close()
  const created = new Database(`${folder}/new.db`)
  const tables = created
    .prepare<[], string>("select name from sqlite_schema where type = 'table'")
    .pluck()
    .all()
    // The parts of the virtual table are created with it.
    .filter((name) => name !== 'messages' && !/^(sqlite|kysely|trigrams)_/.test(name))
  created.close()
  for (const table of tables) {
    mkdirSync(`${folder}/${table}`)
    const legacy = new Database(`${folder}/${table}/app.db`)
    legacy.exec(`create table messages (${LEGACY_COLUMNS}); create table ${table} (id)`)
    legacy.close()
    const reason = new RegExp(`tables whose names this service needs \\(${table}\\)`)
    await assertRejected(t, `${folder}/${table}`, reason)
  }
})

/**
 * Copies the files of an open database, as a crash would leave them.
 * @returns the folder of the copies.
 */
function copyAsCrashed(folder: string, suffixes: readonly string[]): string {
  mkdirSync(`${folder}/crashed`)
  for (const suffix of suffixes) {
    copyFileSync(`${folder}/live.db${suffix}`, `${folder}/crashed/app.db${suffix}`)
  }
  return `${folder}/crashed`
}

t.test('rejects a foreign database with an uncheckpointed log, and changes neither', async (t) => {
  const folder = t.testdir()
  const other = new Database(`${folder}/live.db`)
  other.pragma('journal_mode = wal')
  other.exec('create table notes (body)')
  const crashed = copyAsCrashed(folder, ['', '-wal', '-shm'])
  other.close()
  const { 'app.db-shm': _before, ...before } = bytesOf(crashed)
  await t.rejects(SqliteStore.open(`${crashed}/app.db`), { message: /it has notes/ })
  const { 'app.db-shm': _after, ...after } = bytesOf(crashed)
  t.strictSame(after, before)
})

for (const table of ['notes', 'messages']) {
  t.test(`does not create the -shm file of a foreign database with a table ${table}`, async (t) => {
    const folder = t.testdir()
    const other = new Database(`${folder}/live.db`)
    other.pragma('journal_mode = wal')
    other.exec(`create table ${table} (body)`)
    const crashed = copyAsCrashed(folder, ['', '-wal'])
    other.close()
    await assertRejected(t, crashed, /it has notes|has the columns body;/)
  })

  t.test(`does not roll back a foreign database with a table ${table}`, async (t) => {
    const folder = t.testdir()
    const other = new Database(`${folder}/live.db`)
    other.exec(`create table ${table} (body)`)
    // The cache spills changed pages to the file before the commit.
    other.pragma('cache_size = 1')
    other.exec('begin')
    const insert = other.prepare(`insert into ${table} values (randomblob(4000))`)
    for (let n = 0; n < 100; n++) insert.run()
    const crashed = copyAsCrashed(folder, ['', '-journal'])
    other.close()
    await assertRejected(t, crashed, /it has notes|has the columns body;/)
  })
}

for (const [what, bytes] of Object.entries({
  'of one byte': 'x',
  'of a few bytes': 'hello\n',
  'of text': 'this is no database, but long enough to be one\n'.repeat(100),
})) {
  t.test(`rejects a file ${what} without changing it`, async (t) => {
    await assertRejected(t, t.testdir({ 'app.db': bytes }), /corrupt or not a SQLite database/)
  })
}

t.test(
  'accepts an empty file, an empty database, and one whose first start was interrupted',
  async (t) => {
    const assertOpens = async (prepare: (path: string) => void) => {
      const path = `${t.testdir()}/app.db`
      prepare(path)
      const store = await SqliteStore.open(path)
      t.equal((await store.stats()).total_messages, 0)
      await store.close()
    }
    await assertOpens((path) => writeFileSync(path, ''))
    for (const sql of [
      'create table t (x); drop table t; vacuum',
      `pragma application_id = ${APPLICATION_ID}`,
      `pragma application_id = ${APPLICATION_ID};
       create table kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null)`,
    ]) {
      await assertOpens((path) => {
        const database = new Database(path)
        database.exec(sql)
        database.close()
      })
    }
  },
)
