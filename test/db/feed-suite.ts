import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import type { FeedMessage, FeedQuery, MessageStore } from '../../src/db/message-store.ts'
import type { FeedFilter } from '../../src/message/filter.ts'
import { DEFAULT_DETAILS, type MessageWithDetails } from '../../src/message/message.ts'
import { type FeedCursor, readFeedCursor, writeFeedCursor } from '../../src/schemas/feed-cursor.ts'
import { message } from './store-suite.ts'

/** Reads the feed to its end, in pages of the limit. */
export async function readFeed(
  store: MessageStore,
  query: Partial<FeedQuery> = {},
): Promise<{ data: FeedMessage[]; next: FeedCursor }> {
  const data: FeedMessage[] = []
  let { after } = query
  for (;;) {
    const page = await store.feed({ filter: {}, limit: 100, ...query, after })
    if ('oldest' in page) throw new Error('the cursor is stale')
    data.push(...page.data)
    // As a client that keeps the text.
    after = readFeedCursor(writeFeedCursor(page.next))
    if (page.done) return { data, next: page.next }
  }
}

/**
 * Waits until the feed has a message that is stored.
 * In PostgreSQL it appears when earlier transactions have ended, also those of other tests in the same cluster.
 */
export async function appears(store: MessageStore, id: string): Promise<void> {
  while (!idsOf((await readFeed(store)).data).includes(id)) await delay(5)
}

/** Returns the ids of messages. */
export const idsOf = (rows: { message_id: string }[]) => rows.map(({ message_id }) => message_id)

const FILTERS: [FeedFilter, (message: MessageWithDetails) => boolean][] = [
  [{ from: '+1' }, ({ from_msisdn }) => from_msisdn === '+1'],
  [{ to: '+2' }, ({ to_msisdn }) => to_msisdn === '+2'],
  [{ source: 'other' }, ({ source }) => source === 'other'],
  [
    { type: 'image', from: '+0' },
    ({ type, from_msisdn }) => type === 'image' && from_msisdn === '+0',
  ],
  [{ q: 'STRASSE 1' }, ({ text }) => text?.startsWith('Straße 1') ?? false],
  [{ q: '' }, () => true],
]

/** Tests the feed of every store. `open` opens an empty store, which is closed after its test. */
export function feedSuite(t: Test, open: (t: Test) => Promise<MessageStore>): void {
  t.test('the feed has every message once, in the order in which they were stored', async (t) => {
    const store = await open(t)
    const messages = Array.from({ length: 25 }, (_, n) => ({
      ...message({
        message_id: `m${n}`,
        from_msisdn: `+${n % 3}`,
        to_msisdn: `+${n % 4}`,
        // In descending order of instants.
        ts: `2025-01-15T10:00:${59 - n}Z`,
        text: n % 5 === 0 ? null : `Straße ${n}`,
      }),
      ...DEFAULT_DETAILS,
      source: n % 2 ? 'webhook' : 'other',
      type: n % 7 ? 'text' : 'image',
      payload: n % 6 ? null : '{"a":1}',
    }))
    await store.append(messages.slice(0, 1))
    await store.append([...messages.slice(0, 20), ...messages.slice(0, 5)])
    await store.append(messages.slice(20))
    await appears(store, 'm24')

    for (const limit of [1, 2, 7, 100]) {
      const { data, next } = await readFeed(store, { limit })
      t.strictSame(
        data.map(({ position, ...message }) => message),
        messages,
        `limit ${limit}`,
      )
      t.strictSame(next, await store.feedEnd())
    }
    for (const [filter, matches] of FILTERS) {
      const { data, next } = await readFeed(store, { filter, limit: 2 })
      t.strictSame(idsOf(data), idsOf(messages.filter(matches)), JSON.stringify(filter))
      t.strictSame(next, await store.feedEnd(), 'the cursor is after what the filter leaves out')
    }
  })

  t.test('the feed continues after its end, also if it was empty', async (t) => {
    const store = await open(t)
    const { data, next } = await readFeed(store)
    t.same(data, [])
    t.strictSame(next, await store.feedEnd())
    await store.append([message({ message_id: 'a' })])
    await appears(store, 'a')
    const second = await readFeed(store, { after: next })
    t.same(idsOf(second.data), ['a'])
    t.same((await readFeed(store, { after: second.next })).data, [])
    await store.append([message({ message_id: 'a' }), message({ message_id: 'b' })])
    await appears(store, 'b')
    t.same(idsOf((await readFeed(store, { after: second.next })).data), ['b'])
  })

  t.test('a page of the feed ends early if its texts and payloads are large', async (t) => {
    const store = await open(t)
    const payload = JSON.stringify('x'.repeat(3 * 1024 * 1024))
    const large = (id: string) => ({ ...message({ message_id: id }), ...DEFAULT_DETAILS, payload })
    for (const id of ['a', 'b', 'c', 'd', 'e']) await store.append([large(id)])
    await appears(store, 'e')
    const page = await store.feed({ filter: {}, limit: 100 })
    t.match(page, { data: { length: 3 }, done: false })
    t.same(idsOf((await readFeed(store)).data), ['a', 'b', 'c', 'd', 'e'])
  })

  t.test('returns the oldest cursor for a cursor of another database', async (t) => {
    const store = await open(t)
    await store.append([message({ message_id: 'a' })])
    await appears(store, 'a')
    const { position } = await store.feedEnd()
    const oldest = await startOf(store)
    for (const cursor of [
      { position, digest: 'otherMsg' },
      { position },
      { position: position.map((n) => n + 1), digest: 'otherMsg' },
      { position: [...position, 1], digest: 'otherMsg' },
    ]) {
      t.strictSame(await store.feed({ filter: {}, after: cursor, limit: 1 }), { oldest })
    }
    t.same(idsOf((await readFeed(store, { after: oldest })).data), ['a'])
  })
}

/** Returns the cursor before the first message. */
async function startOf(store: MessageStore): Promise<FeedCursor> {
  const stale = await store.feed({ filter: {}, after: { position: [9, 9, 9, 9, 9] }, limit: 1 })
  if (!('oldest' in stale)) throw new Error('the cursor is not stale')
  return stale.oldest
}
