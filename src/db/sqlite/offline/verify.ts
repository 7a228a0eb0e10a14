import type { Database } from 'better-sqlite3'
import type { Difference, Verification, VerifyListener } from '../../verification.ts'
import { openSnapshot, openWriter } from '../connection.ts'
import { isCorruption, openError } from '../errors.ts'
import { repairKeys, resetQueries } from '../queries/reset.ts'
import { VERIFY_TABLES, verifyQueries } from '../queries/verify.ts'
import { type Prepared, prepare, prepareAll } from '../statement.ts'
import { TrigramRecount } from './trigram-recount.ts'

/** Texts that are read at a time. */
const TEXTS = 1000

/** Trigrams that are counted in memory before the counts are added to a temporary table. */
const TERMS = 500_000

/** The state of a database that is verified; all queries see the same snapshot. */
interface Snapshot {
  query: Prepared<typeof verifyQueries>
  /** The `seq` of the last message that the counters and the sender index cover. */
  watermark: number
  /** The `seq` of the last message in the trigram index. */
  trigrams: number
  /** Number of messages up to the watermark, counted. */
  messages: number
  /** Number of their senders, counted. */
  senders: number
}

/**
 * Decodes a varint: 7 bits in each byte, the most significant first.
 * https://sqlite.org/fileformat2.html#varint
 */
function readVarint(bytes: Uint8Array): number {
  let value = 0
  for (const byte of bytes) {
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) break
  }
  return value
}

/** Opens a database, calls `work` with it, and closes it. @throws StoreOpenError for any failure. */
function withDatabase<Result>(
  action: string,
  open: () => Database,
  work: (database: Database) => Result,
): Result {
  let database: Database | undefined
  try {
    database = open()
    return work(database)
  } catch (error) {
    throw openError(action, error)
  } finally {
    database?.close()
  }
}

/** Returns the errors that SQLite finds in the table of messages and its indexes, at most 100. */
function integrityErrors(database: Database): string[] {
  const lines = database.prepare<[], string>("pragma integrity_check('messages')").pluck().all()
  return lines.filter((line) => line !== 'ok')
}

/** Compares the sort keys of messages, and the indexes that SQLite itself maintains. */
function messageDifferences(database: Database, { query }: Snapshot): Difference[] {
  const errors = integrityErrors(database)
  const missing = errors.filter((line) => line.includes('missing from index')).length
  const table = 'messages'
  return [
    { table, kind: 'missing from an index', count: missing },
    { table, kind: 'other errors of an index', count: missing > 0 ? 0 : errors.length },
    {
      table,
      kind: 'with the sort key of another instant',
      count: query.wrongKeys.get()?.count ?? 0,
    },
  ]
}

/**
 * Compares the watermarks and their totals.
 * A watermark past the newest message, removed or not, would exclude later messages from the indexes.
 */
function watermarkDifferences(snapshot: Snapshot): Difference[] {
  const { query, watermark, trigrams, messages, senders } = snapshot
  const stored = query.watermark.get()
  const newest = query.lastSeq.get()?.seq ?? 0
  return [
    { kind: 'missing', count: stored ? 0 : 1 },
    { kind: 'past the newest message', count: Math.max(0, watermark - newest, trigrams - newest) },
    {
      kind: 'ahead of the trigram index',
      count: Math.max(0, Math.min(watermark, newest) - trigrams),
    },
    { kind: 'off in the total of messages', count: Math.abs((stored?.messages ?? 0) - messages) },
    { kind: 'off in the total of senders', count: Math.abs((stored?.senders ?? 0) - senders) },
  ].map((difference) => ({ table: 'watermark', ...difference }))
}

/** Compares the counters of senders, days and minutes. */
function counterDifferences({ query, watermark }: Snapshot): Difference[] {
  return (['senders', 'days', 'minutes'] as const).flatMap((table) => {
    const { missing = 0, surplus = 0, wrong = 0 } = query[table].get({ watermark }) ?? {}
    return [
      { table, kind: 'missing', count: missing },
      { table, kind: 'surplus', count: surplus },
      { table, kind: 'counted wrongly', count: wrong },
    ]
  })
}

/** Compares the positions of messages by sender. */
function senderEntryDifferences({ query, watermark, messages }: Snapshot): Difference[] {
  const { rows = 0, correct = 0 } = query.senderEntries.get({ watermark }) ?? {}
  const table = 'sender_entries'
  return [
    { table, kind: 'missing', count: messages - correct },
    { table, kind: 'surplus', count: rows - correct },
  ]
}

/** Compares the trigram index with a recount of the texts, by row and by term. */
function trigramDifferences(
  { query, trigrams: watermark }: Snapshot,
  onProgress: (messages: number) => void,
): Difference[] {
  const recount = new TrigramRecount()
  const rows = { missing: 0, wrong: 0, surplus: query.strayRows.get({ watermark })?.count ?? 0 }
  const storeCounts = (): void => {
    for (const count of recount.take()) query.addTerm.run(count)
  }
  let done = 0
  let after = Number.MIN_SAFE_INTEGER
  for (;;) {
    const texts = query.texts.all({ after, watermark, limit: TEXTS })
    const last = texts.at(-1)
    if (!last) break
    after = last.seq
    for (const { seq, text, sz } of texts) {
      if (text === null || text === '') {
        if (sz !== null) rows.surplus++
        continue
      }
      const trigrams = recount.add(seq, text)
      if (sz === null) rows.missing++
      else if (readVarint(sz) !== trigrams) rows.wrong++
    }
    if (recount.size > TERMS) storeCounts()
    done += texts.length
    onProgress(done)
  }
  storeCounts()
  query.subtractIndex.run()
  const { miscounted = 0, misplaced = 0 } = query.wrongTerms.get() ?? {}
  const table = 'trigrams'
  return [
    { table, kind: 'missing', count: rows.missing },
    { table, kind: 'surplus', count: rows.surplus },
    { table, kind: 'of another length', count: rows.wrong },
    { table, kind: 'counted wrongly', count: miscounted },
    { table, kind: 'recorded for the wrong row or position', count: misplaced },
  ]
}

/** Calls `compare`, and returns a single difference if SQLite reports that the index is corrupt. */
function unlessCorrupt(compare: () => Difference[]): Difference[] {
  try {
    return compare()
  } catch (error) {
    if (!isCorruption(error)) throw error
    return [{ table: 'trigrams', kind: 'unreadable', count: 1 }]
  }
}

/** Compares everything within the transaction of a snapshot. */
function compareAll(database: Database, onProgress: VerifyListener): Verification {
  database.exec(VERIFY_TABLES)
  const query = prepareAll(database, verifyQueries)
  const { seq: watermark = 0, trigrams = 0 } = query.watermark.get() ?? {}
  const { messages = 0, senders = 0 } = query.totals.get({ watermark }) ?? {}
  const above = (mark: number) => query.pending.get({ watermark: mark })?.count ?? 0
  const pending = above(watermark)
  const texts = messages + pending - above(trigrams)
  const snapshot: Snapshot = { query, watermark, trigrams, messages, senders }
  onProgress(0, texts)
  const found = [
    ...messageDifferences(database, snapshot),
    ...watermarkDifferences(snapshot),
    ...counterDifferences(snapshot),
    ...senderEntryDifferences(snapshot),
    ...unlessCorrupt(() => trigramDifferences(snapshot, (done) => onProgress(done, texts))),
  ]
  return { messages, pending, differences: found.filter(({ count }) => count > 0) }
}

/**
 * Compares all counters and indexes with a recount of the messages, in one snapshot.
 * The recount covers the messages up to the watermark, and for the trigram index up to its own. The database may be in
 * use. Memory is bounded: counts of trigrams go to a temporary table.
 * @param onProgress called with the number of texts that have been read and their total.
 * @throws StoreOpenError
 */
export function verify(path: string, onProgress: VerifyListener = () => {}): Verification {
  return withDatabase(
    `read ${JSON.stringify(path)}`,
    () => openSnapshot(path),
    (database) => compareAll(database, onProgress),
  )
}

function reset(database: Database): void {
  const isIntact = integrityErrors(database).length === 0
  const resetAll = database.transaction(() => {
    if (!isIntact) database.exec('reindex messages')
    prepare(database, repairKeys).run()
    for (const query of Object.values(prepareAll(database, resetQueries))) query.run()
  })
  resetAll.immediate()
}

/**
 * Repairs the table of messages, and empties the counters and indexes, in one transaction.
 * The repair covers the sort keys and the indexes that SQLite maintains. Reads stay exact, and are slower until the
 * messages are indexed again.
 * @throws StoreOpenError
 */
export function resetIndexes(path: string): void {
  withDatabase(`repair ${JSON.stringify(path)}`, () => openWriter(path, true), reset)
}
