import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { openReader, openWriter } from '../../../src/db/sqlite/connection.ts'
import { prepareIndexing } from '../../../src/db/sqlite/indexing.ts'
import { migrate } from '../../../src/db/sqlite/migrations/migrate.ts'
import { verify } from '../../../src/db/sqlite/offline/verify.ts'
import { preparePaging } from '../../../src/db/sqlite/paging.ts'
import { countQueries } from '../../../src/db/sqlite/queries/count.ts'
import { indexingQueries } from '../../../src/db/sqlite/queries/indexing.ts'
import { matchCounts, orderedQueries, searchQueries } from '../../../src/db/sqlite/queries/page.ts'
import { rangeQueries } from '../../../src/db/sqlite/queries/ranges.ts'
import { senderRunQueries } from '../../../src/db/sqlite/queries/sender-runs.ts'
import { writeQueries } from '../../../src/db/sqlite/queries/write.ts'
import { MAX_RUNS } from '../../../src/db/sqlite/schema.ts'
import { SenderRuns } from '../../../src/db/sqlite/sender-runs.ts'
import { prepareAll } from '../../../src/db/sqlite/statement.ts'
import { SqliteStore } from '../../../src/db/sqlite/store.ts'
import { DEFAULT_DETAILS } from '../../../src/message/message.ts'

t.setTimeout(120_000)

const SENDERS = ['+1', '+2', '+3']

/** Opens the parts of the writer that a test drives step by step. */
async function openIndex(path: string) {
  const database = openWriter(path, false)
  await migrate(database, 1000)
  const runs = new SenderRuns(prepareAll(database, senderRunQueries))
  const { insert } = prepareAll(database, writeQueries)
  const { addTrigrams, addCounts } = prepareIndexing(prepareAll(database, indexingQueries), runs)
  return {
    database,
    addTrigrams: database.transaction(addTrigrams),
    addCounts: database.transaction(addCounts),
    index: database.transaction((limit: number) => {
      addTrigrams(limit)
      addCounts(limit)
    }),
    advance: database.transaction((limit: number) => runs.advance(limit)),
    /** Stores a message whose id and instant follow from its number; the instants are not in the order of arrival. */
    append(number: number): void {
      const ts_key = `2025-01-01T00:${String((number * 37) % 60).padStart(2, '0')}:00`
      const from_msisdn = SENDERS[(number * number) % SENDERS.length] ?? ''
      const ts = `${ts_key}Z`
      const message_id = `m${number}`
      insert.run({
        seq: number + 1,
        message_id,
        from_msisdn,
        to_msisdn: '+9',
        ts,
        text: `text ${number % 7}`,
        created_at: ts,
        ts_key,
        ...DEFAULT_DETAILS,
      })
    },
    runCount: () =>
      database
        .prepare("select count(*) from sender_runs where state in ('live', 'source')")
        .pluck()
        .get() as number,
  }
}

/** Compares all pages by sender, and a search, with the messages themselves. */
function assertPages(t: Test, path: string): void {
  const database = openReader(path, () => undefined)
  const count = prepareAll(database, countQueries)
  const pages = {
    ordered: orderedQueries,
    search: searchQueries,
    matches: matchCounts,
    ranges: rangeQueries,
  }
  const page = preparePaging(database, pages, count)
  const read = database.transaction((from: string, order: 'asc' | 'desc') => {
    const all = database
      .prepare(
        `select message_id from messages where from_msisdn = ?
        order by ts_key ${order}, message_id ${order}`,
      )
      .pluck()
      .all(from)
    const found: string[] = []
    let total = 0
    const limit = Math.max(7, Math.ceil(all.length / 20))
    for (let offset = 0; offset === 0 || offset < total; offset += limit) {
      const one = page({ from, order, offset, limit })
      total = one.total ?? 0
      found.push(...one.data.map(({ message_id }) => message_id))
    }
    return { all, found, total }
  })
  for (const from of SENDERS) {
    for (const order of ['asc', 'desc'] as const) {
      const { all, found, total } = read(from, order)
      t.same(found, all, `${from}, ${order}`)
      t.equal(total, all.length)
    }
  }
  const search = database.transaction(() => ({
    all: database.prepare("select count(*) from messages where text = 'text 3'").pluck().get(),
    found: page({ q: 'text 3', order: 'asc', offset: 0, limit: 50 }),
  }))
  const { all, found } = search()
  t.equal(found.total, all, 'total of a search')
  t.equal(found.data.length, Math.min(50, found.total ?? 0))
  database.close()
}

const step = fc.oneof(
  fc.record({ append: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ trigrams: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ counts: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ advance: fc.integer({ min: 1, max: 20 }) }),
  fc.constant({ restart: true } as const),
)

t.test('pages by sender equal a recount after random appends, merges and restarts', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 100, maxLength: 300 }), async (steps) => {
      const path = join(t.testdir(), 'app.db')
      let opened = await openIndex(path)
      let messages = 0
      for (const one of steps) {
        if ('append' in one) for (let n = 0; n < one.append; n++) opened.append(messages++)
        else if ('trigrams' in one) opened.addTrigrams(one.trigrams)
        else if ('counts' in one) opened.addCounts(one.counts)
        else if ('advance' in one) opened.advance(one.advance)
        else {
          opened.database.close()
          opened = await openIndex(path)
        }
      }
      opened.database.close()
      assertPages(t, path)
      t.same(verify(path).differences, [])
    }),
    { numRuns: 10 },
  )
})

t.test('never has more runs than reads can merge, without maintenance', async (t) => {
  const path = join(t.testdir(), 'app.db')
  const { append, index, runCount, database } = await openIndex(path)
  for (let number = 0; number < 5 * MAX_RUNS; number++) {
    append(number)
    index(1)
    if (runCount() > MAX_RUNS) t.fail(`${runCount()} runs`)
  }
  database.close()
  assertPages(t, path)
  t.same(verify(path).differences, [])
})

t.test('merges until a level has fewer runs than are merged at once', async (t) => {
  const path = join(t.testdir(), 'app.db')
  const { append, index, advance, runCount, database } = await openIndex(path)
  for (let number = 0; number < 60; number++) {
    append(number)
    index(1)
  }
  while (advance(5) > 0);
  t.equal(runCount(), 7 + 4, '60 runs of one message: 7 of eight, 4 of one')
  t.equal(database.prepare('select count(*) from sender_entries').pluck().get(), 60)
  database.close()
  assertPages(t, path)
})

t.test('a process killed during a merge leaves an index that is exact and continues', async (t) => {
  const path = join(t.testdir(), 'app.db')
  const program = `
    import { SqliteStore } from ${JSON.stringify(new URL('../../../src/db/sqlite/store.ts', import.meta.url).href)}
    const store = await SqliteStore.open(${JSON.stringify(path)})
    for (let n = Date.now() * 1000; ; n += 100) {
      await store.append(Array.from({ length: 100 }, (_, i) => ({
        message_id: 'm' + (n + i), from_msisdn: '+' + (1 + (n + i) % 3), to_msisdn: '+9',
        ts: '2025-01-01T00:00:00Z', text: 'x', created_at: '2025-01-01T00:00:00Z',
      })))
    }`
  for (let round = 0; round < 3; round++) {
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const exited = once(child, 'exit')
    await merging(path)
    child.kill('SIGKILL')
    await exited
    t.same(verify(path).differences, [], `round ${round}`)
    assertPages(t, path)
  }
  const store = await SqliteStore.open(path)
  await store.close()
  t.same(verify(path).differences, [])
  assertPages(t, path)
})

/** Resolves once a merge is in progress. */
async function merging(path: string): Promise<void> {
  for (;;) {
    try {
      const database = new Database(path, { readonly: true, fileMustExist: true })
      const found = database.prepare("select 1 from sender_runs where state = 'target'").get()
      database.close()
      if (found) return
    } catch (error) {
      if (!(error instanceof Database.SqliteError)) throw error
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}
