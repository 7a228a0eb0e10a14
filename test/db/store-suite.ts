import { Readable } from 'node:stream'
import fc from 'fast-check'
import type { Test } from 'tap'
import type { MessageStore, PageQuery } from '../../src/db/message-store.ts'
import type { NewRejectedBody } from '../../src/db/rejected-bodies.ts'
import type { Erasure } from '../../src/db/removal.ts'
import type { Verification } from '../../src/db/verification.ts'
import type { MessageFilter } from '../../src/message/filter.ts'
import { fold } from '../../src/message/fold.ts'
import { instantKey } from '../../src/message/instant.ts'
import {
  DEFAULT_DETAILS,
  type MessageDetails,
  type MessageWithDetails,
  type StoredMessage,
} from '../../src/message/message.ts'

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

/** Returns a rejected body with default fields. */
export function rejectedBody(fields: Partial<NewRejectedBody> = {}): NewRejectedBody {
  return {
    at: '2025-01-15T10:00:05.120Z',
    source: 'webhook',
    status: 422,
    problems: [{ loc: ['body', 'from'], type: 'value_error' }],
    headers: { 'content-type': 'application/json' },
    body: Uint8Array.from(Buffer.from('{"from":"9198"}')),
    ...fields,
  }
}

/** Returns a message with default fields and details. */
function detailed(
  fields: Partial<MessageWithDetails> & { message_id: string },
): MessageWithDetails {
  return { ...message(fields), ...DEFAULT_DETAILS, ...fields }
}

/** Returns the fields of a message that a page has without details. */
function withoutDetails({ source, type, payload, ...fields }: MessageWithDetails): StoredMessage {
  return fields
}

const ids = (rows: { message_id: string }[]) => rows.map(({ message_id }) => message_id)

const ALL = { order: 'asc' as const, limit: 100, offset: 0 }

const keyAt = (time: string) => instantKey(`2025-01-15T${time}`) ?? ''

/** Parts of texts: few, like the senders, recipients and instants, so that filters often match. */
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
  source: fc.constantFrom('webhook', 'other'),
  type: fc.constantFrom('text', 'image'),
  payload: fc.constantFrom(null, '{"a":"\\u0000"}'),
})

const instants = fc.option(
  fc.constantFrom('10:00:00.25Z', '10:00:00.3Z', '11:00:00Z').map((time) => keyAt(time)),
  { nil: undefined },
)

const filters = {
  from: fc.option(fc.constantFrom('+1', '+2', '+3'), { nil: undefined }),
  to: fc.option(fc.constantFrom('+1', '+2', '+3'), { nil: undefined, freq: 2 }),
  source: fc.option(fc.constantFrom('webhook', 'other'), { nil: undefined, freq: 2 }),
  type: fc.option(fc.constantFrom('text', 'image', 'none'), { nil: undefined, freq: 2 }),
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
  details: fc.boolean(),
  ...filters,
})

const minutes = fc.constantFrom(0, 1, 30, 45, 59)

/** Boundaries of buckets of any length, on whole days and minutes and between them. */
const timelineBoundaries = fc
  .uniqueArray(
    fc.oneof(
      fc
        .tuple(fc.integer({ min: 14, max: 16 }), fc.constantFrom(0, 1, 9, 10, 11, 18, 23), minutes)
        .map(([day, hour, minute]) => {
          const time = [hour, minute].map((one) => String(one).padStart(2, '0')).join(':')
          return `2025-01-${day}T${time}:00`
        }),
      fc.constantFrom('10:00:00.25Z', '10:00:00.3Z', '10:59:59.5Z').map((time) => keyAt(time)),
      fc.constantFrom('0000-01-01T00:00:00', '9999-12-31T23:59:59.999'),
    ),
    { minLength: 2, maxLength: 12 },
  )
  .map((keys) => keys.sort())

/** A removal of messages: those before a sort key, of a sender, or with ids. */
export type TestRemoval = { before: string } | Erasure

/** Removals that often match. */
const removals: fc.Arbitrary<TestRemoval> = fc.oneof(
  fc.record({
    before: fc
      .constantFrom('10:00:00Z', '10:00:00.25Z', '10:00:00.3Z', '11:00:00Z', '12:00:00Z')
      .map((time) => keyAt(time)),
  }),
  fc.record({ from: fc.constantFrom('+1', '+2', '+12') }),
  fc.record({ ids: fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 })) }),
)

/** Removes messages until none is left. @returns their number. */
export async function removeAll({ removal }: MessageStore, which: TestRemoval): Promise<number> {
  let total = 0
  for (;;) {
    const { removed, done } =
      'before' in which ? await removal.removeExpired(which.before) : await removal.erase(which)
    total += removed
    if (done) return total
  }
}

/** Whether a removal includes a message. */
export function isRemoved(row: StoredMessage, which: TestRemoval): boolean {
  if ('before' in which) {
    return (instantKey(row.ts) ?? instantKey(row.created_at) ?? which.before) < which.before
  }
  return 'from' in which ? row.from_msisdn === which.from : which.ids.includes(row.message_id)
}

/** A store under test, with the scan and the verification of its database. */
export interface ScannableStore extends MessageStore {
  scan(filter: MessageFilter): AsyncIterable<MessageWithDetails[]>
  verify(): Verification | Promise<Verification>
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

  t.test('stores the details of messages, and defaults for those without', async (t) => {
    const store = await open(t)
    const plain = message({ message_id: 'a' })
    const other = detailed({
      message_id: 'b',
      source: 'meta',
      type: 'image',
      payload: '{"id":"b"}',
      from_msisdn: 'US.1349',
      text: 'x'.repeat(300_000),
    })
    t.same(await store.append([plain, other]), ['created', 'created'])
    t.same(await store.append([{ ...other, source: 'webhook', payload: null }]), ['duplicate'])
    t.strictSame(await store.message('a'), detailed(plain))
    t.strictSame(await store.message('b'), other)
    t.strictSame((await store.page(ALL)).data, [plain, withoutDetails(other)])
    t.strictSame((await store.page({ ...ALL, details: true })).data, [detailed(plain), other])
    t.strictSame((await Readable.from(store.scan({})).toArray()).flat(), [detailed(plain), other])
  })

  t.test('ends a page early if its texts and payloads are large', async (t) => {
    const store = await open(t)
    const large = Array.from({ length: 7 }, (_, n) =>
      detailed({
        message_id: `m${n}`,
        text: String(n).repeat(3_000_000),
        payload: JSON.stringify('x'.repeat(2_000_000)),
      }),
    )
    // One at a time: together they may take longer on a busy server than an append may.
    for (const each of large) t.same(await store.append([each]), ['created'])
    for (const [details, size] of [
      [false, 3],
      [true, 2],
    ] as const) {
      const seen: number[] = []
      let after: PageQuery['after']
      do {
        const page = await store.page({ ...ALL, details, after })
        t.equal(page.total, 7)
        seen.push(page.data.length)
        after = page.next
      } while (after)
      t.strictSame(seen, details ? [2, 2, 2, 1] : [3, 3, 1], `${size} messages each`)
      const { data } = await store.page({ ...ALL, order: 'desc', details })
      t.strictSame(ids(data), ids(large.toReversed().slice(0, size)))
    }
    const { data, next } = await store.page({ ...ALL, limit: 3 })
    t.equal(data.length, 3)
    t.ok(next)
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
      detailed({ message_id: `m${n}`, ts: `2025-01-15T10:00:00.${9999 - n}Z` }),
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

  t.test('pages have no gaps or repetitions, and are empty past the end', async (t) => {
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
    const stored = new Map<string, MessageWithDetails>()
    const erased = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        fc.array(rows, { maxLength: 4 }),
        fc.tuple(pageQueries, pageQueries, pageQueries),
        fc.boolean(),
        timelineBoundaries,
        fc.option(removals, { freq: 1 }),
        async (batch, queries, catchUp, boundaries, removal) => {
          const messages = batch.map(detailed)
          const outcomes = messages.map((row) => {
            if (erased.has(row.message_id)) return 'duplicate'
            const first = stored.get(row.message_id)
            const [known, given] = [first, row].map(
              (each) => each && JSON.stringify(withoutDetails(each)),
            )
            if (first) return known === given ? 'duplicate' : 'conflict'
            stored.set(row.message_id, row)
            return 'created'
          })
          t.strictSame(await store.append(messages), outcomes)
          if (catchUp) await store.catchUp()
          if (removal) {
            const removed = [...stored.values()].filter((row) => isRemoved(row, removal))
            t.equal(await removeAll(store, removal), removed.length, JSON.stringify(removal))
            for (const { message_id } of removed) {
              stored.delete(message_id)
              if (!('before' in removal)) erased.add(message_id)
            }
            if ('ids' in removal) for (const id of removal.ids) erased.add(id)
          }
          for (const query of queries) {
            const matching = recount([...stored.values()], query).map((row) =>
              query.details ? row : withoutDetails(row),
            )
            const page = await store.page(query)
            t.equal(page.total, matching.length, JSON.stringify(query))
            const end = query.offset + query.limit
            t.strictSame(page.data, matching.slice(query.offset, end), JSON.stringify(query))
            t.equal(
              page.next !== undefined,
              matching.length > end,
              'next is set if there is a next page',
            )
            const { data, next } = await store.page({ ...query, withTotal: false })
            t.strictSame({ data, next }, { data: page.data, next: page.next }, 'without a total')
            if (!page.next) continue
            const following = await store.page({ ...query, offset: 0, after: page.next })
            t.strictSame(following.data, matching.slice(end, end + query.limit))
          }
          t.strictSame(await store.stats(), recountStats([...stored.values()]))
          for (const from of [undefined, '+1', '+3']) {
            t.strictSame(
              await store.timeline({ boundaries, from }),
              recountTimeline([...stored.values()], boundaries, from),
              boundaries.join(),
            )
          }
        },
      ),
      { numRuns: 200 },
    )
    t.strictSame((await store.verify()).differences, [])
  })

  t.test('scans the messages that any filter matches, in order of arrival', async (t) => {
    const store = await open(t)
    const [batch = []] = fc.sample(
      fc.uniqueArray(rows, { selector: ({ message_id }) => message_id, minLength: 60 }),
      1,
    )
    const stored = batch.map(detailed)
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

  t.test('counts a timeline over days with many and with no messages', async (t) => {
    const store = await open(t)
    const rows = Array.from({ length: 3000 }, (_, n) => {
      const at = new Date(Date.UTC(2025, 0, 1) + Math.trunc(n / 7) * 60_000 * 211)
      const from_msisdn = n % 3 === 0 ? '+1' : '+2'
      return message({ message_id: `m${n}`, from_msisdn, ts: at.toISOString() })
    })
    rows.push(message({ message_id: 'no instant', ts: 'yesterday' }))
    const start = Date.UTC(2024, 11, 30)
    // Local days at +05:30, hours at +05:45, and minutes.
    const boundariesOf = (lead: number, step: number, length: number) =>
      Array.from({ length }, (_, n) =>
        new Date(start + (lead + n * step) * 60_000).toISOString().slice(0, 19),
      )
    for (let n = 0; n < rows.length; n += 750) {
      await store.append(rows.slice(n, n + 750))
      if (n === 1500) await store.catchUp()
    }
    for (const boundaries of [
      boundariesOf(18 * 60 + 30, 1440, 90),
      boundariesOf(2 * 1440, 1440, 90),
      boundariesOf(2 * 1440 + 15, 60, 500),
      boundariesOf(2 * 1440, 1, 500),
    ]) {
      for (const from of [undefined, '+1', '+9']) {
        const counts = await store.timeline({ boundaries, from })
        t.strictSame(counts, recountTimeline(rows, boundaries, from))
      }
    }
  })

  t.test(
    'pages by cursor yield each message stored before the first page once, while others arrive',
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
    const one = detailed({ message_id: 'a/b %' })
    await store.append([one, message({ message_id: 'a' })])
    t.strictSame(await store.message('a/b %'), one)
    t.equal(await store.message('A'), undefined)
  })

  t.test('keeps rejected bodies with their bytes, and lists them newest first', async (t) => {
    const { rejected } = await open(t)
    t.same(await rejected.list({ limit: 10 }), [])
    const other = rejectedBody({
      source: 'other',
      status: 415,
      problems: [],
      headers: {},
      body: Uint8Array.from([0, 255, 0x27, 0xed]),
    })
    const empty = rejectedBody({ body: new Uint8Array() })
    await rejected.keep([rejectedBody(), other], 10)
    await rejected.keep([empty], 10)
    const listed = await rejected.list({ limit: 10 })
    t.match(listed, [
      { source: 'webhook', bytes: 0 },
      { source: 'other', status: 415, problems: [], bytes: 4 },
      { at: '2025-01-15T10:00:05.120Z', status: 422, problems: [{ loc: ['body', 'from'] }] },
    ])
    t.notOk(listed.some((body) => 'body' in body || 'headers' in body))
    for (const [index, expected] of [empty, other, rejectedBody()].entries()) {
      const id = listed[index]?.id ?? 0
      const { body, ...fields } = expected
      const found = await rejected.find(id)
      t.strictSame({ ...found, body: null }, { id, bytes: body.length, ...fields, body: null })
      t.same(Buffer.from(found?.body ?? []), Buffer.from(body))
    }
    const [, second] = listed
    t.strictSame(await rejected.list({ before: second?.id, limit: 10 }), listed.slice(2))
    t.strictSame(await rejected.list({ limit: 2 }), listed.slice(0, 2))
    t.equal(await rejected.find(2 ** 40), undefined)
  })

  t.test('never reuses the id of a rejected body', async (t) => {
    const { rejected } = await open(t)
    await rejected.keep([rejectedBody(), rejectedBody()], 10)
    const [newest, oldest] = await rejected.list({ limit: 10 })
    await rejected.remove(newest?.id ?? 0)
    t.same(await rejected.list({ limit: 10 }), [oldest])
    await rejected.keep([rejectedBody()], 10)
    const [next] = await rejected.list({ limit: 1 })
    t.ok((next?.id ?? 0) > (newest?.id ?? 0))
  })

  t.test('deletes the oldest rejected bodies beyond the limit', async (t) => {
    const { rejected } = await open(t)
    const numbered = (n: number) => rejectedBody({ source: String(n) })
    const sources = async () => (await rejected.list({ limit: 10 })).map(({ source }) => source)
    await rejected.keep([0, 1, 2, 3].map(numbered), 3)
    t.same(await sources(), ['3', '2', '1'])
    await rejected.keep([numbered(4)], 3)
    t.same(await sources(), ['4', '3', '2'])
    await rejected.keep([numbered(5)], 1)
    t.same(await sources(), ['5'])
  })

  t.test('deletes the oldest rejected bodies beyond 64 MiB', async (t) => {
    const { rejected } = await open(t)
    const large = () => rejectedBody({ body: new Uint8Array(16 * 1024 * 1024) })
    for (let n = 0; n < 4; n++) await rejected.keep([large()], 10)
    t.equal((await rejected.list({ limit: 10 })).length, 4)
    await rejected.keep([rejectedBody()], 10)
    const bytes = (await rejected.list({ limit: 10 })).map((body) => body.bytes)
    t.same(bytes, [15, ...Array(3).fill(16 * 1024 * 1024)])
  })
}

function keyOf(row: StoredMessage | undefined): string {
  return instantKey(row?.ts ?? '') ?? ''
}

/** Whether the filter matches the row: the definition of each filter. */
function matches(
  row: StoredMessage & Partial<MessageDetails>,
  { from, to, source, type, since, until, q }: MessageFilter,
): boolean {
  const accepted = {
    from: from === undefined || row.from_msisdn === from,
    to: to === undefined || row.to_msisdn === to,
    source: source === undefined || (row.source ?? 'webhook') === source,
    type: type === undefined || (row.type ?? 'text') === type,
    since: since === undefined || keyOf(row) >= since,
    until: until === undefined || keyOf(row) < until,
    q: !q || (row.text !== null && fold(row.text).includes(fold(q))),
  } satisfies Record<keyof MessageFilter, boolean>
  return Object.values(accepted).every((one) => one)
}

/** Returns all rows that a query matches, in order. */
function recount<Row extends StoredMessage>(rows: Row[], query: PageQuery): Row[] {
  const sorted = rows
    .filter((row) => matches(row, query))
    .sort((a, b) => byBytes(keyOf(a), keyOf(b)) || byBytes(a.message_id, b.message_id))
  return query.order === 'asc' ? sorted : sorted.reverse()
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** Returns the number of rows between each boundary and the next. */
function recountTimeline(
  rows: StoredMessage[],
  boundaries: string[],
  from: string | undefined,
): number[] {
  const keys = rows.filter((row) => matches(row, { from })).map(keyOf)
  return boundaries
    .slice(1)
    .map(
      (until, index) =>
        keys.filter((key) => key < until && key >= (boundaries[index] ?? '')).length,
    )
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
