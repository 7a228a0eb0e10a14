import { existsSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { StoreDetachedError, StoreUnavailableError } from '../../../src/db/message-store.ts'
import { openWriter } from '../../../src/db/sqlite/connection.ts'
import { scan } from '../../../src/db/sqlite/offline/scan.ts'
import { verify } from '../../../src/db/sqlite/offline/verify.ts'
import { SqliteStore } from '../../../src/db/sqlite/store.ts'
import type { MessageFilter } from '../../../src/message/filter.ts'
import { feedSuite } from '../feed-suite.ts'
import { removalSuite } from '../removal-suite.ts'
import { sendersSuite } from '../senders-suite.ts'
import { message, suite } from '../store-suite.ts'

async function open(t: Test, path: string | undefined = `${t.testdir()}/app.db`) {
  const store = await SqliteStore.open(path)
  t.teardown(() => store.close())
  return store
}

t.test('passes the store suite', async (t) =>
  suite(t, async (t) => {
    const path = `${t.testdir()}/app.db`
    const scanFile = (filter: MessageFilter) => scan(path, filter)
    return Object.assign(await open(t, path), { scan: scanFile, verify: () => verify(path) })
  }),
)

t.test('passes the suite of the feed', async (t) => feedSuite(t, (t) => open(t)))

t.test('passes the suite of senders', async (t) => sendersSuite(t, (t) => open(t)))

t.test('passes the suite of removals', async (t) =>
  removalSuite(t, async (t) => {
    const path = `${t.testdir()}/app.db`
    return Object.assign(await open(t, path), { verify: () => verify(path) })
  }),
)

t.test('keeps messages after closing and opening again', async (t) => {
  const path = `${t.testdir()}/missing/folders/app.db`
  const first = await SqliteStore.open(path)
  await first.append([message({ message_id: 'a' })])
  await first.close()
  t.notOk(existsSync(`${path}-wal`), 'the write-ahead log is checkpointed and removed')
  const second = await open(t, path)
  t.same(await second.append([message({ message_id: 'a' })]), ['duplicate'])
})

t.test('opens a private temporary file without a path', async (t) => {
  const store = await SqliteStore.open(undefined)
  await store.append([message({ message_id: 'a' })])
  t.equal((await store.stats()).total_messages, 1)
  await store.close()
})

t.test('two stores can open the same new file at the same time', async (t) => {
  const path = `${t.testdir()}/app.db`
  const [one, two] = await Promise.all([open(t, path), open(t, path)])
  await one.append([message({ message_id: 'a' })])
  t.same(await two.append([message({ message_id: 'a' })]), ['duplicate'])
})

t.test('rejects a schema of a later version with a one-line message', async (t) => {
  const path = `${t.testdir()}/app.db`
  await (await SqliteStore.open(path)).close()
  const other = new Database(path)
  other.exec("insert into kysely_migration values ('9999-later', '2030')")
  other.close()
  await t.rejects(SqliteStore.open(path), {
    name: 'StoreOpenError',
    message: /^cannot open "[^"]+": its schema is of a later version [^\n]+9999-later/,
  })
})

t.test('acknowledges nothing and is not ready when a file is removed or replaced', async (t) => {
  for (const replace of [
    (path: string) => rmSync(path),
    (path: string) => renameSync(path, `${path}.old`),
    (path: string) => rmSync(`${path}-wal`),
    (path: string) => rmSync(`${path}-shm`),
    (path: string) => {
      rmSync(path)
      writeFileSync(path, '')
    },
  ]) {
    const path = `${t.testdir()}/app.db`
    const store = await SqliteStore.open(path)
    await store.ready()
    replace(path)
    const unavailable = { name: /^Store(Unavailable|Detached)Error$/ }
    await t.rejects(store.ready(), unavailable)
    await t.rejects(store.append([message({ message_id: 'a' })]), unavailable)
    await store.close()
  }
})

t.test('fails permanently when the -shm file is removed, and keeps the log on close', async (t) => {
  const path = `${t.testdir()}/app.db`
  const failures: unknown[] = []
  const store = await SqliteStore.open(path, undefined, {
    onFailure: (error) => failures.push(error),
  })
  await store.append([message({ message_id: 'a' })])
  renameSync(`${path}-shm`, `${path}-away`)
  await t.rejects(store.append([message({ message_id: 'b' })]), StoreDetachedError)
  renameSync(`${path}-away`, `${path}-shm`)
  await t.rejects(store.append([message({ message_id: 'b' })]), StoreDetachedError)
  await t.rejects(store.ready(), StoreDetachedError)
  await t.rejects(store.page({ order: 'asc', limit: 1, offset: 0 }), StoreDetachedError)
  t.match(failures, [{ message: /app\.db-shm/ }], 'reported once')
  rmSync(`${path}-shm`)
  await store.close()
  t.ok(existsSync(`${path}-wal`), 'the next connection can recover the log')
  const again = await open(t, path)
  t.same(await again.append([message({ message_id: 'a' })]), ['duplicate'])
})

t.test('resolves a symbolic link only when it opens', async (t) => {
  const folder = t.testdir({ real: {} })
  const path = `${folder}/app.db`
  symlinkSync('real/data.db', path)
  await t.rejects(SqliteStore.open(path), {
    name: 'StoreOpenError',
    message:
      /^cannot open "[^"]+": it is a symbolic link to real\/data\.db, which does not exist; [^\n]+$/,
  })
  t.same(readdirSync(`${folder}/real`), [])
  writeFileSync(`${folder}/real/data.db`, '')
  const store = await open(t, path)
  t.same(await store.append([message({ message_id: 'a' })]), ['created'])
  await store.ready()
  t.equal((await store.stats()).total_messages, 1)
  t.same(readdirSync(folder).sort(), ['app.db', 'real'])

  writeFileSync(`${folder}/real/other.db`, '')
  rmSync(path)
  symlinkSync('real/other.db', path)
  await t.rejects(store.append([message({ message_id: 'b' })]), StoreUnavailableError)
  await t.rejects(store.ready(), StoreUnavailableError)
})

t.test(
  'serves reads and rejects writes as unavailable while another program holds the write lock',
  async (t) => {
    const path = `${t.testdir()}/app.db`
    const store = await open(t, path)
    const other = new Database(path)
    other.exec('begin immediate')
    const rejected = t.rejects(store.append([message({ message_id: 'a' })]), {
      name: 'StoreUnavailableError',
      message: /locked/,
    })
    t.equal((await store.page({ order: 'asc', limit: 1, offset: 0 })).total, 0)
    await rejected
    other.exec('rollback')
    other.close()
    t.same(await store.append([message({ message_id: 'a' })]), ['created'])
  },
)

t.test('stores nothing of a batch with a row that cannot be stored', async (t) => {
  const store = await open(t)
  const broken = { ...message({ message_id: 'b' }), to_msisdn: null as unknown as string }
  await t.rejects(store.append([message({ message_id: 'a' }), broken]), { message: /NOT NULL/ })
  t.equal((await store.stats()).total_messages, 0)
})

t.test('syncs every commit to disk before it returns', async (t) => {
  const database = openWriter(`${t.testdir()}/app.db`, false)
  t.equal(database.pragma('synchronous', { simple: true }), 2, 'FULL')
  t.equal(database.pragma('journal_mode', { simple: true }), 'wal')
  database.close()
})

t.test('removes a private temporary file on close', async (t) => {
  const own = () => readdirSync(tmpdir()).filter((name) => name.startsWith('lyftr-webhook-'))
  const before = own()
  const store = await SqliteStore.open(undefined)
  t.equal(own().length, before.length + 1)
  await store.close()
  t.same(own(), before)
})

t.test('cancels a search by its signal, but not the next one', async (t) => {
  const store = await open(t)
  // Enough that the search is still running when it is cancelled.
  const rows = Array.from({ length: 20_000 }, (_, n) => message({ message_id: `m${n}` }))
  await store.append(rows)
  const query = { order: 'asc' as const, limit: 1, offset: 0, q: 'h' }
  const controller = new AbortController()
  const search = store.page(query, controller.signal)
  controller.abort()
  await t.rejects(search, StoreUnavailableError)
  t.equal((await store.page(query, new AbortController().signal)).total, rows.length)
})

t.test('cancels a read of senders that skips many', async (t) => {
  const store = await open(t)
  const rows = Array.from({ length: 10_000 }, (_, n) =>
    message({ message_id: `m${n}`, from_msisdn: `+1${n}`, text: null }),
  )
  await store.append(rows)
  await store.catchUp()
  const query = { prefix: '+2', order: 'count', limit: 1 } as const
  const controller = new AbortController()
  const read = store.senders(query, controller.signal)
  controller.abort()
  await t.rejects(read, StoreUnavailableError)
  t.same((await store.senders(query, new AbortController().signal)).data, [])
})

t.test('bounds the backlog when messages arrive faster than they are indexed', async (t) => {
  const store = await open(t)
  let largest = 0
  for (let batch = 0; batch < 55; batch++) {
    const rows = Array.from({ length: 1000 }, (_, n) =>
      message({ message_id: `${batch}-${n}`, text: null }),
    )
    await store.append(rows)
    largest = Math.max(largest, store.status.backlog)
  }
  t.ok(largest <= 51_000, `at most ${largest}`)
  t.equal((await store.stats()).total_messages, 55_000)
})
