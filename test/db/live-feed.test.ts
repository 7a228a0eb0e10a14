import t from 'tap'
import { LiveFeed } from '../../src/db/live-feed.ts'
import type { FeedPage, FeedQuery, StaleCursor } from '../../src/db/message-store.ts'
import { SqliteStore } from '../../src/db/sqlite/store.ts'
import { idsOf } from './feed-suite.ts'
import { message } from './store-suite.ts'

/** Page size of the followers; the reads that they share are larger. */
const LIMIT = 10

const READ_TIMEOUT_MS = 5000

/** Returns the ids of the next page that has messages. */
async function nextIds(pages: AsyncGenerator<FeedPage | StaleCursor, void>): Promise<string[]> {
  for (;;) {
    const { value } = await pages.next()
    if (!value || 'oldest' in value) throw new Error('the feed ended')
    if (value.data.length > 0) return idsOf(value.data)
  }
}

t.test('a follower that joins a read from a later cursor misses no message', async (t) => {
  const store = await SqliteStore.open(`${t.testdir()}/app.db`)
  t.teardown(() => store.close())
  const append = (message_id: string) => store.append([message({ message_id })])
  const began = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  let isHolding = false
  const feed = new LiveFeed(
    {
      async feed(query: FeedQuery, signal: AbortSignal) {
        if (isHolding && query.limit !== LIMIT) {
          began.resolve()
          await held.promise
        }
        return store.feed(query, signal)
      },
    },
    READ_TIMEOUT_MS,
  )
  const follow = (signal: AbortSignal) =>
    feed.follow({ after: undefined, filter: {}, limit: LIMIT, idleMs: READ_TIMEOUT_MS }, signal)

  await append('a')
  const leaving = new AbortController()
  const first = follow(leaving.signal)
  const second = follow(new AbortController().signal)
  t.strictSame(await nextIds(first), ['a'])
  t.strictSame(await nextIds(second), ['a'])
  await append('b')
  t.strictSame(await nextIds(first), ['b'])

  isHolding = true
  const waiting = first.next()
  await began.promise
  leaving.abort()
  await t.rejects(waiting, { name: 'AbortError' })
  const ids = nextIds(second)
  await append('c')
  held.resolve()
  t.equal((await ids)[0], 'b', 'the message before the cursor of the read')
  await second.return()
})
