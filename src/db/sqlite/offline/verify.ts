import Database from 'better-sqlite3'
import { instantKey } from '../../../message/instant.ts'
import { StoreOpenError } from '../../message-store.ts'
import type { Difference, Verification, VerifyListener } from '../../verification.ts'
import { openReader, openWriter } from '../connection.ts'
import { repairKeys, resetQueries, VERIFY_TABLES, verifyQueries } from '../queries/verify.ts'
import { prepare, prepareAll } from '../statement.ts'
import { TrigramRecount } from './trigram-recount.ts'

/** Texts that are read at a time, and terms that are counted in memory before they go to a temporary table. */
const TEXTS = 1000
const TERMS = 500_000

/** What is compared, all of it within one transaction. */
interface Snapshot {
  query: ReturnType<typeof prepareAll<typeof verifyQueries>>
  /** The last message that anything was derived from. */
  watermark: number
  /** Counted from the messages up to it. */
  messages: number
  senders: number
}

/** The number that SQLite writes in 7 bits a byte, the highest first. */
function readVarint(bytes: Uint8Array): number {
  let value = 0
  for (const byte of bytes) {
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) break
  }
  return value
}

/** Opens a database, works on it and closes it. @throws StoreOpenError that names the file. */
function withDatabase<Result>(
  path: string,
  purpose: 'read' | 'repair',
  open: () => Database.Database,
  work: (database: Database.Database) => Result,
): Result {
  let database: Database.Database | undefined
  try {
    database = open()
    return work(database)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StoreOpenError(`cannot ${purpose} ${JSON.stringify(path)}: ${reason}`, {
      cause: error,
    })
  } finally {
    database?.close()
  }
}

/** What SQLite finds wrong with the table of messages and its indexes, at most 100 lines. */
function integrityErrors(database: Database.Database): string[] {
  const lines = database.prepare<[], string>("pragma integrity_check('messages')").pluck().all()
  return lines.filter((line) => line !== 'ok')
}

/** The indexes of messages, which SQLite keeps itself, and the sort keys of their timestamps. */
function messageDifferences(database: Database.Database, { query }: Snapshot): Difference[] {
  const errors = integrityErrors(database)
  const missing = errors.filter((line) => line.includes('missing from index')).length
  const table = 'messages'
  return [
    { table, kind: 'missing from an index', count: missing },
    { table, kind: 'of other errors of an index', count: missing > 0 ? 0 : errors.length },
    {
      table,
      kind: 'with the sort key of another instant',
      count: query.wrongKeys.get()?.count ?? 0,
    },
  ]
}

/** The totals of the watermark, and whether a message to come would be taken for one that was derived from. */
function watermarkDifferences({ query, watermark, messages, senders }: Snapshot): Difference[] {
  const [kept] = query.watermark.all()
  const newest = query.newest.get()?.seq ?? 0
  return [
    { kind: 'missing', count: kept ? 0 : 1 },
    { kind: 'past the newest message', count: Math.max(0, watermark - newest) },
    { kind: 'off in the total of messages', count: Math.abs((kept?.messages ?? 0) - messages) },
    { kind: 'off in the total of senders', count: Math.abs((kept?.senders ?? 0) - senders) },
  ].map((difference) => ({ table: 'watermark', ...difference }))
}

/** Senders, days and minutes, row by row. */
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

function senderMessageDifferences({ query, watermark, messages }: Snapshot): Difference[] {
  const { rows = 0, right = 0 } = query.senderMessages.get({ watermark }) ?? {}
  const table = 'sender_messages'
  return [
    { table, kind: 'missing', count: messages - right },
    { table, kind: 'surplus', count: rows - right },
  ]
}

/** The rows of the index with the number of trigrams of each, and every term with how many rows have it how often. */
function trigramDifferences(
  { query, watermark }: Snapshot,
  onProgress: (messages: number) => void,
): Difference[] {
  const recount = new TrigramRecount()
  const rows = { missing: 0, wrong: 0, surplus: query.strayRows.get({ watermark })?.count ?? 0 }
  const handOver = (): void => {
    for (const count of recount.take()) query.addTerm.run({ ...count })
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
    if (recount.size > TERMS) handOver()
    done += texts.length
    onProgress(done)
  }
  handOver()
  query.subtractVocabulary.run()
  const { counted = 0, elsewhere = 0 } = query.wrongTerms.get() ?? {}
  const table = 'trigrams'
  return [
    { table, kind: 'missing', count: rows.missing },
    { table, kind: 'surplus', count: rows.surplus },
    { table, kind: 'of another length', count: rows.wrong },
    { table, kind: 'counted wrongly', count: counted },
    { table, kind: 'in another row or place', count: elsewhere },
  ]
}

/** Where SQLite itself finds the index damaged, that is the difference. */
function unlessCorrupt(compare: () => Difference[]): Difference[] {
  try {
    return compare()
  } catch (error) {
    if (!(error instanceof Database.SqliteError && /^SQLITE_CORRUPT/.test(error.code))) throw error
    return [{ table: 'trigrams', kind: 'unreadable', count: 1 }]
  }
}

/** Compares within one transaction of an open database. */
function compareAll(database: Database.Database, onProgress: VerifyListener): Verification {
  database.function('instant_key', { deterministic: true }, (ts) => instantKey(String(ts)) ?? '')
  database.exec(VERIFY_TABLES)
  const query = prepareAll(database, verifyQueries)
  const compare = database.transaction((): Verification => {
    const watermark = query.watermark.get()?.seq ?? 0
    const { messages = 0, senders = 0 } = query.totals.get({ watermark }) ?? {}
    const pending = query.pending.get({ watermark })?.messages ?? 0
    const snapshot: Snapshot = { query, watermark, messages, senders }
    onProgress(0, messages)
    const found = [
      ...messageDifferences(database, snapshot),
      ...watermarkDifferences(snapshot),
      ...counterDifferences(snapshot),
      ...senderMessageDifferences(snapshot),
      ...unlessCorrupt(() => trigramDifferences(snapshot, (done) => onProgress(done, messages))),
    ]
    return { messages, pending, differences: found.filter(({ count }) => count > 0) }
  })
  return compare.deferred()
}

/**
 * Compares every derived table with a plain recount of the messages up to the watermark, in one snapshot and beside
 * whoever writes; memory is bounded, what does not fit goes to a temporary file.
 * @param onProgress hears how many messages of how many were looked at.
 * @throws StoreOpenError
 */
export function verify(path: string, onProgress: VerifyListener = () => {}): Verification {
  return withDatabase(
    path,
    'read',
    () => openReader(path, () => {}),
    (database) => compareAll(database, onProgress),
  )
}

/** Repairs indexes and sort keys, and deletes everything that is derived. */
function reset(database: Database.Database): void {
  const sound = integrityErrors(database).length === 0
  const forget = database.transaction(() => {
    if (!sound) database.exec('reindex messages')
    prepare(database, repairKeys).run()
    for (const query of Object.values(prepareAll(database, resetQueries))) query.run()
  })
  forget.immediate()
}

/**
 * Repairs indexes and sort keys of messages, and deletes everything that is derived, in one transaction: answers are
 * exact afterwards, and slower until it is derived again.
 * @throws StoreOpenError
 */
export function resetIndexes(path: string): void {
  withDatabase(path, 'repair', () => openWriter(path, true), reset)
}
