import Database from 'better-sqlite3'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { resetIndexes, verify } from '../../../../src/db/sqlite/offline/verify.ts'
import { SqliteStore } from '../../../../src/db/sqlite/store.ts'
import type { StoredMessage } from '../../../../src/message/message.ts'
import { message } from '../../store-suite.ts'

const MESSAGES = [
  message({ message_id: 'a', from_msisdn: '+1', text: 'Hello hello 😀 hello' }),
  message({ message_id: 'b', from_msisdn: '+2', text: 'ÄRGER' }),
  message({ message_id: 'c', from_msisdn: '+1', text: null, ts: '2024-02-29T23:59:59.5Z' }),
  message({ message_id: 'd', from_msisdn: '+3', text: 'ab' }),
  message({ message_id: 'e', from_msisdn: '+1', text: '' }),
]

/** Creates a file with these messages, all indexed. */
async function file(t: Test, messages: StoredMessage[] = MESSAGES): Promise<string> {
  const path = `${t.testdir()}/app.db`
  const store = await SqliteStore.open(path)
  await store.append(messages)
  await store.catchUp()
  await store.close()
  return path
}

function execute(path: string, statements: string): void {
  const database = new Database(path)
  // Allows writes to the shadow tables of FTS5.
  database.unsafeMode()
  database.exec(statements)
  database.close()
}

const linesOf = (path: string) =>
  verify(path).differences.map(({ table, kind, count }) => `${table}: ${count} ${kind}`)

t.test('finds no differences in a correct database', async (t) => {
  const path = await file(t)
  t.strictSame(verify(path), { messages: 5, pending: 0, differences: [] })
  execute(
    path,
    "insert into messages select 99, 'z', '+9', '+2', ts, 'zzz', ts, ts_key, source, type, payload from messages limit 1",
  )
  t.strictSame(
    verify(path),
    { messages: 5, pending: 1, differences: [] },
    'a message above the watermark is pending',
  )
  const empty = `${t.testdir()}/empty.db`
  await (await SqliteStore.open(empty)).close()
  t.strictSame(verify(empty), { messages: 0, pending: 0, differences: [] })
})

t.test('counts the trigrams of any text as the index does', async (t) => {
  const texts = fc.sample(fc.string({ unit: 'binary', maxLength: 40 }), 200)
  const odd = [
    'a\0bcd',
    '\0',
    'ﬁSSßς Σ',
    'İiıI',
    '👨‍👩‍👧👨‍👩‍👧',
    '\ufeff\ufffd\u2028abc',
    'a\ufffebc\uffffde\ufffd',
    'x'.repeat(20_000),
  ]
  const path = await file(
    t,
    [...texts, ...odd].map((text, n) => message({ message_id: `m${n}`, text })),
  )
  t.same(linesOf(path), [])
})

/** Removes two messages from the index of instants without SQLite knowing. */
const REMOVE_INDEX_ENTRIES = `
  drop index messages_by_instant;
  create index messages_by_instant on messages (ts_key, message_id) where seq > 2;
  pragma writable_schema = on;
  update sqlite_schema set sql = replace(sql, ' where seq > 2', '') where name = 'messages_by_instant';
  pragma writable_schema = reset`

/** Statements that corrupt the database, and the differences to find. */
const CORRUPTIONS: Record<string, string[]> = {
  'delete from watermark': [
    'watermark: 1 missing',
    'senders: 3 surplus',
    'days: 2 surplus',
    'minutes: 2 surplus',
    'sender_entries: 5 surplus',
    'trigrams: 3 surplus',
    'trigrams: 12 counted wrongly',
  ],
  'update watermark set messages = 7, senders = 1': [
    'watermark: 2 off in the total of messages',
    'watermark: 2 off in the total of senders',
  ],
  'update watermark set seq = 9': ['watermark: 4 past the newest message'],
  'update watermark set seq = 4': [
    'watermark: 1 off in the total of messages',
    'senders: 1 counted wrongly',
    'days: 1 counted wrongly',
    'minutes: 1 counted wrongly',
    'sender_entries: 1 surplus',
  ],
  "delete from senders where msisdn = '+2'": [
    'senders: 1 missing',
    'sender_entries: 1 missing',
    'sender_entries: 1 surplus',
  ],
  "insert into senders (msisdn, count) values ('+7', 0), ('+8', 1)": ['senders: 2 surplus'],
  "update senders set count = 9 where msisdn = '+1'": ['senders: 1 counted wrongly'],
  "delete from sender_entries where message_id in ('a', 'b')": ['sender_entries: 2 missing'],
  "update sender_entries set ts_key = '2000' where message_id = 'a'": [
    'sender_entries: 1 missing',
    'sender_entries: 1 surplus',
  ],
  "insert into sender_entries values ((select min(run) from sender_runs), 1, '2000', 'x', 99)": [
    'sender_entries: 1 surplus',
  ],
  "delete from days where day = '2024-02-29'": ['days: 1 missing'],
  "insert into days values ('2000-01-01', 1)": ['days: 1 surplus'],
  'update minutes set count = count + 1': ['minutes: 2 counted wrongly'],
  "update minutes set minute = '2000-01-01T00:00' where minute like '2024%'": [
    'minutes: 1 missing',
    'minutes: 1 surplus',
  ],
  'delete from trigrams where rowid = 2': ['trigrams: 1 missing', 'trigrams: 3 counted wrongly'],
  "insert into trigrams (rowid, text) values (3, 'new'), (99, 'far')": [
    'trigrams: 2 surplus',
    'trigrams: 2 counted wrongly',
  ],
  "delete from trigrams where rowid = 2; insert into trigrams (rowid, text) values (2, 'ärgern')": [
    'trigrams: 1 of another length',
    'trigrams: 1 counted wrongly',
  ],
  "delete from trigrams where rowid = 2; insert into trigrams (rowid, text) values (2, 'anger')": [
    'trigrams: 4 counted wrongly',
  ],
  "update messages set text = case message_id when 'a' then 'ÄRGER' else 'Hello hello 😀 hello' end where message_id in ('a', 'b')":
    ['trigrams: 2 of another length', 'trigrams: 12 recorded for the wrong row or position'],
  "delete from trigrams where rowid = 2; insert into trigrams (rowid, text) values (2, 'gerär')": [
    'trigrams: 4 counted wrongly',
    'trigrams: 1 recorded for the wrong row or position',
  ],
  "update messages set ts = '2030-01-01T00:00:00Z' where message_id = 'a'": [
    'messages: 1 with the sort key of another instant',
  ],
  [REMOVE_INDEX_ENTRIES]: ['messages: 2 missing from an index'],
  'delete from trigrams_data where id > 10': ['trigrams: 1 unreadable'],
  "update messages set from_msisdn = '+3' where message_id = 'a'": [
    'senders: 2 counted wrongly',
    'sender_entries: 1 missing',
    'sender_entries: 1 surplus',
  ],
}

for (const [corruption, lines] of Object.entries(CORRUPTIONS)) {
  t.test(`finds and repairs: ${corruption.trim().split('\n', 1)}`, async (t) => {
    const path = await file(t)
    execute(path, corruption)
    t.same(linesOf(path), lines)

    resetIndexes(path)
    const store = await SqliteStore.open(path)
    t.teardown(() => store.close())
    t.strictSame(verify(path), { messages: 5, pending: 0, differences: [] })
    t.equal((await store.page({ order: 'asc', limit: 1, offset: 0, q: 'ärger' })).total, 1)
  })
}

t.test('verifies one snapshot during writes, and reports progress', async (t) => {
  const path = `${t.testdir()}/app.db`
  const store = await SqliteStore.open(path)
  t.teardown(() => store.close())
  for (let round = 0; round < 5; round++) {
    const batch = Array.from({ length: 3000 }, (_, n) =>
      message({ message_id: `${round}-${n}`, from_msisdn: `+${n % 100}`, text: `text ${n}` }),
    )
    const appended = store.append(batch)
    const progress: number[] = []
    let texts = 0
    const { differences } = verify(path, (done, total) => {
      progress.push(done)
      texts = total
    })
    t.same(differences, [])
    t.equal(progress[0], 0)
    t.equal(progress.at(-1), texts)
    await appended
  }
})
