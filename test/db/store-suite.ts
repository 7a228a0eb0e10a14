import { Readable } from 'node:stream'
import fc from 'fast-check'
import type { Test } from 'tap'
import type { MessageStore, PageQuery } from '../../src/db/message-store.ts'
import type { MessageFilter } from '../../src/message/filter.ts'
import { fold } from '../../src/message/fold.ts'
import { instantKey } from '../../src/message/instant.ts'
import type { StoredMessage } from '../../src/message/message.ts'

/** Returns a message with default fields. */
export function message(fields: Partial<StoredMessage> & { message_id: string }): StoredMessage {
  return {
    from_msisdn: '+1',
    to_msisdn: '+2',
    ts: '2025-01-15T10:00:00Z',
    text: 'Hello',
    created_at: '2025-01-15T10:00:05Z',
    ...fields,
  }
}

const ids = (rows: { message_id: string }[]) => rows.map(({ message_id }) => message_id)

const ALL = { order: 'asc' as const, limit: 100, offset: 0 }

const keyAt = (time: string) => instantKey(`2025-01-15T${time}`) ?? ''

/** Parts of texts. They are few, as are senders, recipients and instants, so that filters often match. */
const word = fc.constantFrom('', 'a', 'B', 'ab', 'Ä', 'ß', 'σ', '%', '_', '👍')

const rows = fc.record({
  message_id: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 }),
  from_msisdn: fc.oneof(
    fc.constantFrom('+1', '+2', '+12'),
    fc.integer({ min: 30, max: 60 }).map((n) => `+${n}`),
  ),
  to_msisdn: fc.constantFrom('+1', '+2', '+22'),
  ts: fc
    .constantFrom('10:00:00Z', '10:00:00.0Z', '10:00:00.25Z', '10:00:00.5Z', '11:00:00Z')
    .map((time) => `2025-01-15T${time}`),
  text: fc.option(fc.array(word, { maxLength: 4 }).map((words) => words.join(''))),
})

const instants = fc.option(
  fc.constantFrom('10:00:00.25Z', '10:00:00.3Z', '11:00:00Z').map((time) => keyAt(time)),
  { nil: undefined },
)

const filters = {
  from: fc.option(fc.constantFrom('+1', '+2', '+3'), { nil: undefined }),
  to: fc.option(fc.constantFrom('+1', '+2', '+3'), { nil: undefined, freq: 2 }),
  since: instants,
  until: instants,
  q: fc.option(
    fc.array(word, { maxLength: 3 }).map((words) => words.join('')),
    { nil: undefined },
  ),
} satisfies Record<keyof MessageFilter, fc.Arbitrary<string | undefined>>

const pageQueries = fc.record({
  order: fc.constantFrom('asc' as const, 'desc' as const),
  limit: fc.integer({ min: 1, max: 5 }),
  offset: fc.integer({ min: 0, max: 5 }),
  ...filters,
})

/** A store under test, with the scan of its database. */
export interface ScannableStore extends MessageStore {
  scan(filter: MessageFilter): AsyncIterable<StoredMessage[]>
}

/** Tests the guarantees of every store. `open` opens an empty store, which is closed after its test. */
export function suite(t: Test, open: (t: Test) => Promise<ScannableStore>): void {
  t.test('stores a message once and distinguishes created from duplicate', async (t) => {
    const store = await open(t)
    const first = message({ message_id: 'a', text: 'first' })
    t.same(await store.append([first]), ['created'])
    t.same(await store.append([message({ ...first, created_at: '2026-01-01T00:00:00Z' })]), [
      'duplicate',
    ])
    t.same(await store.page(ALL), { data: [first], total: 1, next: undefined })
  })

  t.test('stores the first message if an id occurs more than once in a batch', async (t) => {
    const store = await open(t)
    const batch = ['first', 'second', 'first', 'second'].map((text) =>
      message({ message_id: 'a', text }),
    )
    t.same(await store.append(batch), ['created', 'conflict', 'duplicate', 'conflict'])
    t.equal((await store.page(ALL)).data[0]?.text, 'first')
  })

  t.test('returns conflict for a stored id with other content, and changes nothing', async (t) => {
    const store = await open(t)
    const first = message({ message_id: 'a', text: 'Ärger' })
    const textless = message({ message_id: 'b', text: null })
    await store.append([first, textless])
    const others: StoredMessage[] = [
      { ...first, from_msisdn: '+2' },
      { ...first, to_msisdn: '+1' },
      { ...first, ts: '2025-01-15T10:00:00.0Z' },
      { ...first, text: 'ärger' },
      { ...first, text: '' },
      { ...first, text: null },
      { ...textless, text: '' },
      { ...textless, text: 'null' },
    ]
    const conflicts = others.map(() => 'conflict')
    t.same(await store.append([...others, first, textless]), [
      ...conflicts,
      'duplicate',
      'duplicate',
    ])
    await store.catchUp()
    t.same(await store.append([...others, first, textless]), [
      ...conflicts,
      'duplicate',
      'duplicate',
    ])
    t.same((await store.page(ALL)).data, [first, textless])
    t.equal((await store.stats()).total_messages, 2)
  })

  t.test('scans one snapshot in order of arrival', async (t) => {
    const store = await open(t)
    const many = Array.from({ length: 2500 }, (_, n) =>
      message({ message_id: `m${n}`, ts: `2025-01-15T10:00:00.${9999 - n}Z` }),
    )
    await store.append(many)
    const seen: StoredMessage[] = []
    for await (const messages of store.scan({})) {
      if (seen.length === 0) await store.append([message({ message_id: 'later' })])
      seen.push(...messages)
    }
    t.same(seen, many)
    for await (const messages of store.scan({})) {
      t.ok(messages.length > 0)
      break
    }
    const all = async (filter: MessageFilter) => {
      const found = await Readable.from(store.scan(filter)).toArray()
      return ids(found.flat())
    }
    t.same(await all({ q: 'HELLO', since: '2025-01-15T10:00:00.9997' }), ['m0', 'm1', 'm2'])
    t.same(await all({ from: '+7' }), [])
  })

  t.test('pages without gaps and repetitions, also past the end', async (t) => {
    const store = await open(t)
    await store.append(Array.from({ length: 25 }, (_, n) => message({ message_id: `m${n + 10}` })))
    const seen: string[] = []
    for (let offset = 0; offset < 40; offset += 10) {
      const page = await store.page({ order: 'asc', limit: 10, offset })
      t.equal(page.total, 25)
      seen.push(...ids(page.data))
    }
    t.same(
      seen,
      Array.from({ length: 25 }, (_, n) => `m${n + 10}`),
    )
    t.same(
      (await store.page({ order: 'asc', limit: 10, offset: Number.MAX_SAFE_INTEGER })).data,
      [],
    )
  })

  t.test('filters by sender, by instant, by text, and by all of them', async (t) => {
    const store = await open(t)
    await store.append([
      message({ message_id: 'a', from_msisdn: '+1', text: 'Hello' }),
      message({
        message_id: 'b',
        from_msisdn: '+1',
        ts: '2025-01-15T10:00:00.5Z',
        text: 'hello 2',
      }),
      message({ message_id: 'c', from_msisdn: '+12', ts: '2025-01-16T10:00:00Z', text: null }),
    ])
    t.same(ids((await store.page({ ...ALL, from: '+1' })).data), ['a', 'b'])
    const since = instantKey('2025-01-15T10:00:00.5Z')
    t.same(ids((await store.page({ ...ALL, since })).data), ['b', 'c'])
    t.same(ids((await store.page({ ...ALL, q: '' })).data), ['a', 'b', 'c'])
    const one = await store.page({ ...ALL, from: '+1', since, q: 'HELLO' })
    t.same(ids(one.data), ['b'])
    t.equal(one.total, 1)
  })

  t.test('searches literally and in every script', async (t) => {
    const store = await open(t)
    const texts = {
      percent: '100% sure',
      underscore: 'snake_case',
      quotes: `it's "quoted" \\ here`,
      umlaut: 'ÄRGER im Büro',
      cyrillic: 'ПРИВЕТ мир',
      greek: 'ΟΔΟΣ οδός',
      sharp: 'Straße',
      emoji: 'well 👍🏽 done',
      chinese: '你好世界',
      replacement: 'no \ufffd here',
      noncharacter: 'no \uffff here',
    }
    await store.append(
      Object.entries(texts).map(([message_id, text]) => message({ message_id, text })),
    )
    const found = async (q: string) => ids((await store.page({ ...ALL, q })).data)
    for (const indexed of [false, true]) {
      if (indexed) await store.catchUp()
      t.same(await found('%'), ['percent'])
      t.same(await found('_'), ['underscore'])
      t.same(await found(`'s "Q`), ['quotes'])
      t.same(await found('\\'), ['quotes'])
      t.same(await found('ärger'), ['umlaut'])
      t.same(await found('привет'), ['cyrillic'])
      t.same(await found('οδος'), ['greek'])
      t.same(await found('ς'), ['greek'])
      t.same(await found('STRASSE'), ['sharp'])
      t.same(await found('👍'), ['emoji'])
      t.same(await found('好'), ['chinese'])
      t.same(await found('O \ufffd H'), ['replacement'])
      t.same(await found('O \uffff H'), ['noncharacter'])
      t.same(await found('O \ufffe H'), [])
      t.same(await found("' OR 1=1 --"), [])
    }
  })

  t.test('returns totals, the ten busiest senders, and the first and last timestamp', async (t) => {
    const store = await open(t)
    t.same(await store.stats(), {
      total_messages: 0,
      senders_count: 0,
      messages_per_sender: [],
      first_message_ts: null,
      last_message_ts: null,
    })
    const batch: StoredMessage[] = []
    for (let sender = 0; sender < 12; sender++) {
      for (let n = 0; n <= sender % 6; n++) {
        batch.push(message({ message_id: `${sender}-${n}`, from_msisdn: `+${100 - sender}` }))
      }
    }
    batch.push(message({ message_id: 'first', ts: '2024-12-31T23:59:59.50Z' }))
    batch.push(message({ message_id: 'last', ts: '2025-01-15T10:00:00.000000001Z' }))
    await store.append(batch)
    const stats = await store.stats()
    t.equal(stats.total_messages, batch.length)
    t.equal(stats.senders_count, 13)
    t.same(
      stats.messages_per_sender,
      [89, 95, 90, 96, 91, 97, 92, 98, 1, 93].map((from, index) => ({
        from: `+${from}`,
        count: [6, 6, 5, 5, 4, 4, 3, 3, 2, 2][index],
      })),
    )
    t.equal(stats.first_message_ts, '2024-12-31T23:59:59.50Z')
    t.equal(stats.last_message_ts, '2025-01-15T10:00:00.000000001Z')
  })

  t.test('is ready', async (t) => {
    const store = await open(t)
    await Promise.all([store.ready(), store.ready()])
  })

  t.test('returns the same pages and statistics as a recount, for any query', async (t) => {
    const store = await open(t)
    const stored = new Map<string, StoredMessage>()
    await fc.assert(
      fc.asyncProperty(
        fc.array(rows, { maxLength: 4 }),
        fc.tuple(pageQueries, pageQueries, pageQueries),
        fc.boolean(),
        async (batch, queries, catchUp) => {
          const messages = batch.map((row) => message(row))
          const outcomes = messages.map((row) => {
            const first = stored.get(row.message_id)
            if (first)
              return JSON.stringify(first) === JSON.stringify(row) ? 'duplicate' : 'conflict'
            stored.set(row.message_id, row)
            return 'created'
          })
          t.strictSame(await store.append(messages), outcomes)
          if (catchUp) await store.catchUp()
          for (const query of queries) {
            const matching = recount([...stored.values()], query)
            const page = await store.page(query)
            t.equal(page.total, matching.length, JSON.stringify(query))
            const end = query.offset + query.limit
            t.strictSame(page.data, matching.slice(query.offset, end), JSON.stringify(query))
            t.equal(
              page.next !== undefined,
              matching.length > end,
              'next is set if there is a next page',
            )
            if (!page.next) continue
            const following = await store.page({ ...query, offset: 0, after: page.next })
            t.strictSame(following.data, matching.slice(end, end + query.limit))
          }
          t.strictSame(await store.stats(), recountStats([...stored.values()]))
        },
      ),
      { numRuns: 200 },
    )
  })

  t.test('scans the messages that any filter matches, in order of arrival', async (t) => {
    const store = await open(t)
    const [batch = []] = fc.sample(
      fc.uniqueArray(rows, { selector: ({ message_id }) => message_id, minLength: 60 }),
      1,
    )
    const stored = batch.map((row) => message(row))
    await store.append(stored)
    await fc.assert(
      fc.asyncProperty(fc.record(filters), async (filter) => {
        const scanned = (await Readable.from(store.scan(filter)).toArray()).flat()
        t.strictSame(
          scanned,
          stored.filter((row) => matches(row, filter)),
          JSON.stringify(filter),
        )
      }),
      { numRuns: 15 },
    )
  })

  t.test('returns the right page at a large offset', async (t) => {
    const store = await open(t)
    const rows = Array.from({ length: 3000 }, (_, n) => {
      // Three years: some minutes have many messages, some days none.
      const at = new Date(Date.UTC(2023, 0, 1) + Math.trunc(n / 7) * 60_000 * 3001)
      return message({ message_id: `m${n}`, ts: at.toISOString().replace('.000', `.${n % 7}`) })
    })
    for (let n = 0; n < rows.length; n += 500) {
      await store.append(rows.slice(n, n + 500))
      if (n === 1500) await store.catchUp()
    }
    for (const order of ['asc', 'desc'] as const) {
      for (const range of [{}, { since: keyOf(rows[700]) }, { until: keyOf(rows[2500]) }]) {
        for (const offset of [199, 201, 699, 1000, 1799, 2299, 2499, 2990, 3000]) {
          const query = { order, offset, limit: 7, ...range }
          const matching = recount(rows, query)
          const page = await store.page(query)
          t.equal(page.total, matching.length)
          t.strictSame(page.data, matching.slice(offset, offset + 7), JSON.stringify(query))
        }
      }
    }
  })

  t.test(
    'yields every message that existed at the first page once, while others arrive',
    async (t) => {
      const store = await open(t)
      const at = (n: number) => `2025-01-15T10:00:${String(n % 60).padStart(2, '0')}Z`
      await store.append(
        Array.from({ length: 100 }, (_, n) => message({ message_id: `old ${n}`, ts: at(n * 7) })),
      )
      for (const order of ['asc', 'desc'] as const) {
        const seen: string[] = []
        let after: PageQuery['after']
        do {
          const page = await store.page({ order, limit: 9, offset: 0, after })
          seen.push(...ids(page.data))
          after = page.next
          const n = seen.length
          await store.append([message({ message_id: `${order} ${n}`, ts: at(n * 11) })])
        } while (after)
        const old = seen.filter((id) => id.startsWith('old'))
        t.equal(old.length, 100)
        t.equal(new Set(seen).size, seen.length)
      }
    },
  )

  t.test('returns a message by its id', async (t) => {
    const store = await open(t)
    const one = message({ message_id: 'a/b %' })
    await store.append([one, message({ message_id: 'a' })])
    t.strictSame(await store.message('a/b %'), one)
    t.equal(await store.message('A'), undefined)
  })
}

function keyOf(row: StoredMessage | undefined): string {
  return instantKey(row?.ts ?? '') ?? ''
}

/** Whether the filter matches the row: the definition of each filter. */
function matches(row: StoredMessage, { from, to, since, until, q }: MessageFilter): boolean {
  const accepted = {
    from: from === undefined || row.from_msisdn === from,
    to: to === undefined || row.to_msisdn === to,
    since: since === undefined || keyOf(row) >= since,
    until: until === undefined || keyOf(row) < until,
    q: !q || (row.text !== null && fold(row.text).includes(fold(q))),
  } satisfies Record<keyof MessageFilter, boolean>
  return Object.values(accepted).every((one) => one)
}

/** Returns all rows that a query matches, in order. */
function recount(rows: StoredMessage[], query: PageQuery): StoredMessage[] {
  const sorted = rows
    .filter((row) => matches(row, query))
    .sort((a, b) => byBytes(keyOf(a), keyOf(b)) || byBytes(a.message_id, b.message_id))
  return query.order === 'asc' ? sorted : sorted.reverse()
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** Returns the statistics of all rows. */
function recountStats(rows: StoredMessage[]) {
  const counts = new Map<string, number>()
  for (const { from_msisdn } of rows) counts.set(from_msisdn, (counts.get(from_msisdn) ?? 0) + 1)
  const sorted = recount(rows, { order: 'asc', limit: 1, offset: 0 })
  return {
    total_messages: rows.length,
    senders_count: counts.size,
    messages_per_sender: [...counts]
      .map(([from, count]) => ({ from, count }))
      .sort((a, b) => b.count - a.count || byBytes(a.from, b.from))
      .slice(0, 10),
    first_message_ts: sorted[0]?.ts ?? null,
    last_message_ts: sorted.at(-1)?.ts ?? null,
  }
}
