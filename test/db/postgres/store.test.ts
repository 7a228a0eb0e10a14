import t, { type Test } from 'tap'
import { scanOffline, verifyOffline } from '../../../src/db/postgres/offline/commands.ts'
import type { MessageFilter } from '../../../src/message/filter.ts'
import { DEFAULT_DETAILS } from '../../../src/message/message.ts'
import { feedSuite } from '../feed-suite.ts'
import { removalSuite } from '../removal-suite.ts'
import { sendersSuite } from '../senders-suite.ts'
import { message, suite } from '../store-suite.ts'
import { createDatabase, execute, NO_SERVER, openStore } from './server.ts'

const ALL = { order: 'asc' as const, limit: 100, offset: 0 }

/** Opens an empty store in a new schema. */
async function openIn(t: Test, url: string) {
  const schema = `test_${Math.random().toString(36).slice(2)}`
  await execute(url, `create schema ${schema}`)
  const inSchema = new URL(url)
  inSchema.searchParams.set('options', `-c search_path=${schema},public`)
  const scan = (filter: MessageFilter) => scanOffline(inSchema.href, filter)
  const verify = () => verifyOffline(inSchema.href, () => {})
  return Object.assign(await openStore(t, inSchema.href), { scan, verify })
}

/** Locales that differ in sort order and case mapping. */
const LOCALES = {
  'in the C locale': "lc_collate 'C' lc_ctype 'C'",
  'with ICU': "lc_collate 'C' lc_ctype 'C' locale_provider icu icu_locale 'tr-TR'",
}

t.test('on a server', { skip: NO_SERVER }, async (t) => {
  for (const [name, options] of Object.entries(LOCALES)) {
    t.test(`passes the store suite ${name}`, async (t) => {
      const url = await createDatabase(t, options)
      suite(t, (t) => openIn(t, url))
      feedSuite(t, (t) => openIn(t, url))
      sendersSuite(t, (t) => openIn(t, url))
      removalSuite(t, (t) => openIn(t, url))
    })
  }

  t.test('stores the longest values that the webhook accepts', async (t) => {
    const store = await openStore(t, await createDatabase(t))
    const longest = message({
      // Distinct characters of four bytes each, so that compression does not shorten them.
      message_id: Array.from({ length: 512 }, (_, n) =>
        String.fromCodePoint(0x20000 + ((n * 7919) % 40_000)),
      ).join(''),
      from_msisdn: `+${'1'.repeat(32)}`,
      ts: '2025-01-15T10:00:00.123456789Z',
      text: '👍ﬃ'.repeat(2048),
    })
    t.same(await store.append([longest]), ['created'])
    t.same(await store.append([longest]), ['duplicate'])
    await store.catchUp()
    for (const filter of [{}, { from: longest.from_msisdn }, { q: 'ffi👍FFI' }]) {
      t.strictSame((await store.page({ ...ALL, ...filter })).data, [longest])
    }
    t.strictSame(await store.message(longest.message_id), { ...longest, ...DEFAULT_DETAILS })
  })

  t.test('stores nothing of a batch with an invalid row', async (t) => {
    const store = await openStore(t, await createDatabase(t))
    const broken = message({ message_id: 'b', text: 'NUL \0' })
    await t.rejects(store.append([message({ message_id: 'a' }), broken]), { code: '22021' })
    t.equal((await store.stats()).total_messages, 0)
  })
})
