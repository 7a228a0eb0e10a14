import t, { type Test } from 'tap'
import { StoreUnavailableError } from '../../../src/db/message-store.ts'
import { openReader } from '../../../src/db/sqlite/connection.ts'
import { prepareMatchRanges } from '../../../src/db/sqlite/match-ranges.ts'
import { matchCounts } from '../../../src/db/sqlite/queries/page.ts'
import { rangeQueries } from '../../../src/db/sqlite/queries/ranges.ts'
import { prepare, prepareAll } from '../../../src/db/sqlite/statement.ts'
import { SqliteStore } from '../../../src/db/sqlite/store.ts'
import { indexSearch } from '../../../src/db/sqlite/trigrams.ts'
import { message } from '../store-suite.ts'

/** Contains every trigram of `needle`, but no two of them adjacent. */
const APART = 'nee.eed.edl.dle.'

async function storeOf(t: Test, texts: string[]) {
  const path = `${t.testdir()}/app.db`
  const store = await SqliteStore.open(path)
  t.teardown(() => store.close())
  await store.append(texts.map((text, n) => message({ message_id: `m${n}`, text })))
  await store.catchUp()
  return { path, store }
}

t.test('cancels a search whose candidates never match', async (t) => {
  const { store } = await storeOf(t, [APART, APART])
  const query = { order: 'asc' as const, limit: 1, offset: 0, q: 'needle' }
  const controller = new AbortController()
  const search = store.page(query, controller.signal)
  controller.abort()
  await t.rejects(search, StoreUnavailableError)
  t.equal((await store.page(query)).total, 0, 'the thread executes the next search')
})

t.test(
  'ranges have at most as many rows as a slice and together contain every match',
  async (t) => {
    const SLICE = 8
    const kinds = [APART, 'a needle', 'hay']
    // Runs of each kind, shorter and longer than a slice.
    const texts = [3, 1, 20, 9, 4, 30, 1, 1, 8, 17, 2, 40].flatMap((length, run) =>
      Array.from({ length }, () => kinds[run % kinds.length] ?? ''),
    )
    const { path } = await storeOf(t, texts)
    const database = openReader(path, () => {})
    t.teardown(() => database.close())
    const search = indexSearch('needle', 8192)
    const { few, ranges } = prepareMatchRanges(prepareAll(database, rangeQueries))(
      { ...search, q: 'needle', slice: SLICE },
      texts.length,
    )
    t.equal(few, false)
    const found = ranges()
    for (const [first, last] of found) {
      t.ok(last - first < SLICE, `${first} to ${last}`)
      t.equal(texts[last - 1], 'a needle', 'the range ends with a match')
    }
    const total = prepare(database, matchCounts.phrase).get({
      phrase: search.phrase,
      exact: 1,
      ranges: JSON.stringify(found),
    })
    t.equal(total?.count, texts.filter((text) => text === 'a needle').length)
  },
)

t.test('matches needles longer than a phrase, or with repeated trigrams, exactly', async (t) => {
  const long = 'abcdefghijklmnopqrstuvwxyz0123456789'
  const { store } = await storeOf(t, [long, `${long.slice(0, -1)}X`, 'a'.repeat(40)])
  const totalOf = async (q: string, from?: string) =>
    (await store.page({ order: 'asc', limit: 1, offset: 0, q, from })).total
  t.equal(await totalOf(long), 1)
  t.equal(await totalOf(long, '+1'), 1)
  t.equal(await totalOf(long.slice(0, -1)), 2)
  t.equal(await totalOf('a'.repeat(40)), 1)
  t.equal(await totalOf('a'.repeat(41)), 0)
  t.ok(
    indexSearch('a'.repeat(40), 8192).slice < indexSearch('needle', 8192).slice,
    'repetitions make the slice smaller',
  )
})
