import fc from 'fast-check'
import type { Test } from 'tap'
import type { MessageStore } from '../../src/db/message-store.ts'
import type { Verification } from '../../src/db/verification.ts'
import { instantKey } from '../../src/message/instant.ts'
import type { StoredMessage } from '../../src/message/message.ts'
import type { FeedCursor } from '../../src/schemas/feed-cursor.ts'
import { appears, idsOf, readFeed } from './feed-suite.ts'
import { isRemoved, message, removeAll, type TestRemoval } from './store-suite.ts'

/** A store under test, with the verification of its database. */
export interface VerifiableStore extends MessageStore {
  verify(): Verification | Promise<Verification>
}

const ALL = { order: 'asc' as const, limit: 100, offset: 0 }

const keyAt = (second: number) => instantKey(at(second)) ?? ''

function at(second: number): string {
  return new Date(Date.UTC(2025, 0, 15, 10, 0, second)).toISOString().replace('.000', '')
}

/** Messages of three senders, with instants in the order of their numbers. */
const numbered = (n: number, fields: Partial<StoredMessage> = {}) =>
  message({
    message_id: `m${n}`,
    from_msisdn: `+${n % 3}`,
    ts: at(n),
    text: `text ${n}`,
    ...fields,
  })

/** Waits until the feed has a message, then returns the cursor after the message with this id. */
async function cursorAfter(store: MessageStore, id: string): Promise<FeedCursor> {
  await appears(store, id)
  const { data } = await readFeed(store)
  const index = idsOf(data).indexOf(id)
  const page = await store.feed({ filter: {}, limit: index + 1 })
  if ('oldest' in page) throw new Error('the feed has no start')
  return page.next
}

async function fedAfter(store: MessageStore, after?: FeedCursor): Promise<string[]> {
  return idsOf((await readFeed(store, { after })).data)
}

/** Tests removals. `open` opens an empty store, which is closed after its test. */
export function removalSuite(t: Test, open: (t: Test) => Promise<VerifiableStore>): void {
  for (const indexed of [true, false]) {
    const state = indexed ? 'indexed' : 'new'
    t.test(`removes expired ${state} messages from everything`, async (t) => {
      const store = await open(t)
      await store.append(Array.from({ length: 30 }, (_, n) => numbered(n)))
      if (indexed) await store.catchUp()
      t.equal(await removeAll(store, { before: keyAt(20) }), 20)
      t.equal(await removeAll(store, { before: keyAt(20) }), 0)
      const left = Array.from({ length: 10 }, (_, n) => numbered(n + 20))
      t.strictSame((await store.page(ALL)).data, left)
      t.equal((await store.page({ ...ALL, from: '+0' })).total, 3)
      t.equal((await store.page({ ...ALL, q: 'text 1' })).total, 0)
      t.equal((await store.page({ ...ALL, q: 'text 2' })).total, 10)
      t.equal(await store.message('m19'), undefined)
      t.match(await store.stats(), { total_messages: 10, first_message_ts: at(20) })
      await store.catchUp()
      t.match(await store.verify(), { messages: 10, differences: [] })
      t.same(await store.append([numbered(0)]), ['created'], 'an expired id can be stored again')
    })
  }

  t.test(
    'tells the oldest message, and removes those without an instant by created_at',
    async (t) => {
      const store = await open(t)
      const undated = (n: number, created_at: string) =>
        message({ message_id: `u${n}`, ts: 'yesterday', created_at })
      await store.append([
        undated(1, at(0)),
        undated(2, at(40)),
        undated(3, 'never'),
        numbered(10),
        numbered(30),
      ])
      const { oldest } = await store.removal.removeExpired(keyAt(5))
      t.equal(oldest, keyAt(10))
      await removeAll(store, { before: keyAt(20) })
      t.strictSame(idsOf((await store.page(ALL)).data).sort(), ['m30', 'u2', 'u3'])
      t.equal((await store.removal.removeExpired(keyAt(20))).oldest, keyAt(30))
      await removeAll(store, { before: keyAt(50) })
      t.strictSame(idsOf((await store.page(ALL)).data), ['u3'])
      t.equal((await store.removal.removeExpired(keyAt(20))).oldest, undefined)
      t.same((await store.verify()).differences, [])
    },
  )

  t.test('never stores an erased id again', async (t) => {
    const store = await open(t)
    await store.append([0, 1, 2, 3, 4, 5].map((n) => numbered(n)))
    await store.catchUp()
    t.equal(await removeAll(store, { from: '+1' }), 2)
    t.equal(await removeAll(store, { ids: ['m0', 'unknown', 'm0'] }), 1)
    const again = [0, 1, 4, 6].map((n) => numbered(n))
    const other = numbered(4, { text: 'other' })
    t.same(await store.append([...again, other]), [
      'duplicate',
      'duplicate',
      'duplicate',
      'created',
      'duplicate',
    ])
    t.same(await store.append([message({ message_id: 'unknown' })]), ['duplicate'])
    t.strictSame(idsOf((await store.page(ALL)).data), ['m2', 'm3', 'm5', 'm6'])
    t.same(await store.append([numbered(7)]), ['created'], 'of the same sender')
    await store.removal.purge()
    await store.removal.purge()
    t.same((await store.verify()).differences, [])
    t.strictSame(idsOf((await store.page({ ...ALL, q: 'text' })).data).length, 5)
  })

  t.test('the feed continues after a removed message, without gaps or repetitions', async (t) => {
    const store = await open(t)
    for (let n = 0; n < 12; n++) await store.append([numbered(n)])
    await appears(store, 'm11')
    await store.catchUp()
    const start = (await readFeed(store, { limit: 100 })).next
    const middle = await cursorAfter(store, 'm5')
    const early = await cursorAfter(store, 'm1')
    await removeAll(store, { ids: ['m5', 'm11', 'm8'] })
    t.strictSame(await fedAfter(store, middle), ['m6', 'm7', 'm9', 'm10'])
    t.strictSame(await fedAfter(store, start), [], 'at the end')
    await store.append([numbered(12)])
    await appears(store, 'm12')
    t.strictSame(await fedAfter(store, start), ['m12'], 'a new message is never before the cursor')
    t.strictSame(await fedAfter(store, middle), ['m6', 'm7', 'm9', 'm10', 'm12'])

    await removeAll(store, { before: keyAt(4) })
    const stale = await store.feed({ filter: {}, limit: 10, after: early })
    t.ok('oldest' in stale, 'messages after the cursor were removed')
    if ('oldest' in stale) {
      t.strictSame(await fedAfter(store, stale.oldest), ['m4', 'm6', 'm7', 'm9', 'm10', 'm12'])
    }
    t.strictSame(await fedAfter(store), ['m4', 'm6', 'm7', 'm9', 'm10', 'm12'])
    const forged = { ...middle, digest: 'AAAAAAAA' }
    t.ok('oldest' in (await store.feed({ filter: {}, limit: 10, after: forged })))
  })

  t.test('the feed continues after everything was removed', async (t) => {
    const store = await open(t)
    await store.append([numbered(0), numbered(1)])
    const end = await cursorAfter(store, 'm1')
    await store.catchUp()
    await removeAll(store, { before: keyAt(50) })
    t.strictSame(await fedAfter(store, end), [])
    t.strictSame((await store.feedEnd()).position, end.position)
    await store.append([numbered(2)])
    await appears(store, 'm2')
    t.strictSame(await fedAfter(store, end), ['m2'])
    t.strictSame(await fedAfter(store), ['m2'])
    t.same((await store.verify()).differences, [])
  })

  t.test('a consumer of the feed misses nothing, whatever is removed meanwhile', async (t) => {
    const store = await open(t)
    let number = 0
    const left = new Set<number>()
    let consumed: string[] = []
    let cursor: FeedCursor | undefined
    const removal = fc.oneof(
      fc.record({ before: fc.nat(15).map((ago) => ago) }),
      fc.record({ from: fc.constantFrom('+0', '+1', '+2') }),
      fc.record({ ids: fc.array(fc.nat(15), { maxLength: 3 }) }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.nat(4),
        fc.option(removal),
        fc.boolean(),
        fc.nat(3),
        async (count, which, catchUp, reads) => {
          const added = Array.from({ length: count }, () => number++)
          // Instants that are not in the order of arrival.
          if (count > 0) await store.append(added.map((n) => numbered(n, { ts: at(n ^ 3) })))
          for (const n of added) left.add(n)
          if (catchUp) await store.catchUp()
          if (which) {
            const relative: TestRemoval =
              'before' in which
                ? { before: keyAt(number - which.before) }
                : 'from' in which
                  ? which
                  : { ids: which.ids.map((ago) => `m${number - ago}`) }
            await removeAll(store, relative)
            for (const n of left) {
              if (isRemoved(numbered(n, { ts: at(n ^ 3) }), relative)) left.delete(n)
            }
            // Ids that do not exist yet are erased, too.
            if ('ids' in which && which.ids.includes(0)) number++
          }
          const last = [...left].at(-1)
          if (last !== undefined) await appears(store, `m${last}`)
          for (let read = 0; read < reads; read++) {
            const page = await store.feed({ filter: {}, limit: 2, after: cursor })
            if ('oldest' in page) {
              cursor = page.oldest
              consumed = []
              continue
            }
            consumed.push(...idsOf(page.data))
            cursor = page.next
          }
          const rest = await readFeed(store, { after: cursor }).catch(() => undefined)
          if (rest) {
            const seen = [...consumed, ...idsOf(rest.data)]
            t.equal(new Set(seen).size, seen.length, 'no message twice')
            const missed = [...left].map((n) => `m${n}`).filter((id) => !seen.includes(id))
            t.strictSame(missed, [], 'no message missed')
          }
        },
      ),
      { numRuns: 60 },
    )
    t.same((await store.verify()).differences, [])
  })
}
