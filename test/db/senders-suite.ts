import fc from 'fast-check'
import type { Test } from 'tap'
import type { MessageStore } from '../../src/db/message-store.ts'
import type { SenderQuery } from '../../src/db/sender-query.ts'
import { instantKey } from '../../src/message/instant.ts'
import type { StoredMessage } from '../../src/message/message.ts'
import type { Sender } from '../../src/schemas/senders.ts'
import { message } from './store-suite.ts'

const compareBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Returns the senders that a query finds on all pages, by reading every message. */
function recountSenders(
  stored: readonly StoredMessage[],
  { prefix, order }: Pick<SenderQuery, 'prefix' | 'order'>,
): Sender[] {
  const keyOf = ({ ts }: StoredMessage) => instantKey(ts) ?? ''
  const bySender = Map.groupBy(stored, ({ from_msisdn }) => from_msisdn)
  return [...bySender]
    .filter(([from]) => from.startsWith(prefix))
    .map(([from, messages]) => {
      const dated = messages
        .filter((one) => keyOf(one) !== '')
        .sort(
          (a, b) => compareBytes(keyOf(a), keyOf(b)) || compareBytes(a.message_id, b.message_id),
        )
      return {
        from,
        count: messages.length,
        first_message_ts: dated[0]?.ts ?? null,
        last_message_ts: dated.at(-1)?.ts ?? null,
      }
    })
    .sort((a, b) => (order === 'count' ? b.count - a.count : 0) || compareBytes(a.from, b.from))
}

/** Reads the senders of all pages. */
async function readSenders(store: MessageStore, query: SenderQuery): Promise<Sender[]> {
  const all: Sender[] = []
  let after: SenderQuery['after']
  do {
    const { data, next } = await store.senders({ ...query, after })
    if (next && data.length !== query.limit) throw new Error('a page before the last is not full')
    all.push(...data)
    after = next
  } while (after)
  return all
}

/** Few senders, some of whose numbers begin with others, at the limits of the order by bytes. */
const numbers = fc.oneof(
  fc.constantFrom(
    '+1',
    '+12',
    '+123',
    '+2',
    '+\u{d7ff}',
    '+\u{e000}',
    '+\u{10ffff}',
    '+\u{10ffff}1',
  ),
  fc.integer({ min: 10, max: 40 }).map((n) => `+${n}`),
)

const rows = fc.record({
  message_id: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 }),
  from_msisdn: numbers,
  ts: fc.constantFrom(
    '2025-01-15T10:00:00Z',
    '2025-01-15T10:00:00.0Z',
    '2025-01-15T10:00:00.25Z',
    '2025-01-15T11:00:00Z',
    'yesterday',
  ),
})

const queries = fc.record({
  prefix: fc.oneof(fc.constantFrom('', '+', '+1', '+3', '+9'), numbers),
  order: fc.constantFrom('count' as const, 'number' as const),
  limit: fc.integer({ min: 1, max: 7 }),
})

/** Tests the senders of every store. `open` opens an empty store, which is closed after its test. */
export function sendersSuite(t: Test, open: (t: Test) => Promise<MessageStore>): void {
  t.test('pages of senders equal a recount, before and after counters are updated', async (t) => {
    const store = await open(t)
    t.strictSame(await store.senders({ prefix: '', order: 'count', limit: 1 }), {
      data: [],
      next: undefined,
    })
    const stored = new Map<string, StoredMessage>()
    await fc.assert(
      fc.asyncProperty(
        fc.array(rows, { maxLength: 30 }),
        fc.array(queries, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (batch, queries, catchUp) => {
          const messages = batch.map(message)
          for (const one of messages) {
            if (!stored.has(one.message_id)) stored.set(one.message_id, one)
          }
          await store.append(messages)
          if (catchUp) await store.catchUp()
          for (const query of queries) {
            t.strictSame(
              await readSenders(store, query),
              recountSenders([...stored.values()], query),
              JSON.stringify(query),
            )
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  t.test('a sender whose count changes between pages is not returned twice', async (t) => {
    const store = await open(t)
    let id = 0
    const send = (from: string, times: number) =>
      store.append(
        Array.from({ length: times }, () => message({ message_id: `m${id++}`, from_msisdn: from })),
      )
    for (const [from, times] of [
      ['+1', 5],
      ['+2', 4],
      ['+3', 3],
      ['+4', 3],
      ['+5', 1],
    ] as const) {
      await send(from, times)
    }
    await store.catchUp()
    const query = { prefix: '', order: 'count', limit: 2 } as const
    const first = await store.senders(query)
    t.strictSame(first.next, { count: 4, number: '+2' })
    await send('+2', 1)
    await send('+3', 1)
    await send('+4', 3)
    const second = await store.senders({ ...query, after: first.next })
    t.same(
      second.data.map(({ from, count }) => [from, count]),
      [
        ['+3', 4],
        ['+5', 1],
      ],
      '+3 now follows the position, +4 precedes it',
    )
    t.equal(second.next, undefined)
  })
}
