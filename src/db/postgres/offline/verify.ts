import { type RawBuilder, sql } from 'kysely'
import { fold } from '../../../message/fold.ts'
import { instantKey } from '../../../message/instant.ts'
import { DAY_LENGTH, MINUTE_LENGTH } from '../../key-range.ts'
import type { Difference, Verification, VerifyListener } from '../../verification.ts'
import type { Session } from '../pool.ts'
import { countPending, withRollupLock } from '../rollup-step.ts'
import { storedSearchKey } from '../search-key.ts'

/** Messages that are read at a time. */
const CHUNK = 1000

/** Messages that the counters should have. */
const COUNTED = sql`messages where not exists (select from uncounted where uncounted.batch = messages.batch)`

/** The counters: their table, the name of their key, and what of a message is that key. */
const COUNTERS = [
  ['senders', 'msisdn', sql`from_msisdn`],
  ['days', 'day', sql`substr(ts_key, 1, ${sql.lit(DAY_LENGTH)})`],
  ['minutes', 'minute', sql`substr(ts_key, 1, ${sql.lit(MINUTE_LENGTH)})`],
] as const

async function counterDifferences(
  session: Session,
  table: string,
  key: string,
  keyOfMessage: RawBuilder<unknown>,
): Promise<Difference[]> {
  const { rows } = await sql<{ missing: number; surplus: number; wrong: number }>`
    select count(*) filter (where kept.key is null) as missing,
      count(*) filter (where recounted.key is null) as surplus,
      count(*) filter (where kept.count <> recounted.count) as wrong
    from (select ${sql.ref(key)} as key, count from ${sql.table(table)}) as kept
    full join (select ${keyOfMessage} as key, count(*) as count from ${COUNTED} group by 1) as recounted
      on recounted.key = kept.key`.execute(session)
  const { missing = 0, surplus = 0, wrong = 0 } = rows[0] ?? {}
  return [
    { table, kind: 'missing', count: missing },
    { table, kind: 'surplus', count: surplus },
    { table, kind: 'counted wrongly', count: wrong },
  ]
}

async function totalDifferences(
  session: Session,
): Promise<{ messages: number; differences: Difference[] }> {
  const { rows } = await sql<{ messages: number; senders: number }>`
    select count(*) as messages, count(distinct from_msisdn) as senders from ${COUNTED}`.execute(
    session,
  )
  const { messages = 0, senders = 0 } = rows[0] ?? {}
  const kept = await session.selectFrom('totals').selectAll().executeTakeFirst()
  const found = [
    { kind: 'missing', count: kept ? 0 : 1 },
    {
      kind: 'off in the total of messages',
      count: Math.abs((kept?.messages ?? 0) - messages),
    },
    { kind: 'off in the total of senders', count: Math.abs((kept?.senders ?? 0) - senders) },
  ]
  return { messages, differences: found.map((difference) => ({ table: 'totals', ...difference })) }
}

/** Batches that are to be counted yet, and how many messages they say they have. */
async function uncountedDifferences(session: Session): Promise<Difference[]> {
  const { rows } = await sql<{ wrong: number }>`
    select count(*) as wrong from uncounted where messages <>
      (select count(*) from messages where messages.batch = uncounted.batch)`.execute(session)
  return [{ table: 'uncounted', kind: 'counted wrongly', count: rows[0]?.wrong ?? 0 }]
}

/** A message and what is derived from its fields. */
interface DerivedRow {
  batch: number
  place: number
  text: string | null
  folded: string | null
  search_key: string | null
  ts: string
  ts_key: string
}

/** What the row should have. */
function derive({ text, ts }: DerivedRow): Pick<DerivedRow, 'folded' | 'search_key' | 'ts_key'> {
  const folded = text === null ? null : fold(text)
  return { folded, search_key: storedSearchKey(folded), ts_key: instantKey(ts) ?? '' }
}

/** Reads every message, in one snapshot; what is not as it should be is handed on. */
async function eachWrongRow(
  session: Session,
  onRows: (wrong: DerivedRow[], read: number) => Promise<void> | void,
): Promise<void> {
  await sql`declare rows no scroll cursor for
    select batch, place, text, folded, search_key, ts, ts_key from messages`.execute(session)
  for (;;) {
    const { rows } = await sql<DerivedRow>`fetch ${sql.lit(CHUNK)} from rows`.execute(session)
    if (rows.length === 0) return
    const wrong = rows.filter((row) => {
      const { folded, search_key, ts_key } = derive(row)
      return row.folded !== folded || row.search_key !== search_key || row.ts_key !== ts_key
    })
    await onRows(wrong, rows.length)
  }
}

/** Runs reads in one snapshot. */
function inSnapshot<Result>(
  session: Session,
  read: (session: Session) => Promise<Result>,
): Promise<Result> {
  return session
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(read)
}

/** Compares everything that is derived with the messages, in one snapshot and beside whoever writes. */
export function verify(session: Session, onProgress: VerifyListener): Promise<Verification> {
  return inSnapshot(session, async (trx) => {
    const { messages, differences } = await totalDifferences(trx)
    const pending = await countPending(trx)
    onProgress(0, messages)
    for (const [table, key, ofMessage] of COUNTERS) {
      differences.push(...(await counterDifferences(trx, table, key, ofMessage)))
    }
    differences.push(...(await uncountedDifferences(trx)))
    let wrongRows = 0
    let done = 0
    await eachWrongRow(trx, (wrong, read) => {
      wrongRows += wrong.length
      done += read
      onProgress(Math.min(done, messages), messages)
    })
    differences.push({ table: 'messages', kind: 'folded or keyed wrongly', count: wrongRows })
    return { messages, pending, differences: differences.filter(({ count }) => count > 0) }
  })
}

async function mend(session: Session, rows: DerivedRow[]): Promise<void> {
  for (const row of rows) {
    await session
      .updateTable('messages')
      .set(derive(row))
      .where('batch', '=', row.batch)
      .where('place', '=', row.place)
      .execute()
  }
}

/** Replaces every counter by a recount of the messages in the snapshot, so that no batch of it is uncounted. */
async function recount(session: Session): Promise<void> {
  for (const table of ['senders', 'days', 'minutes', 'uncounted', 'totals'] as const) {
    await session.deleteFrom(table).execute()
  }
  // One pass over the messages; the other counters follow from the first two.
  await sql`
    with counted as materialized (
      select from_msisdn, substr(ts_key, 1, ${sql.lit(MINUTE_LENGTH)}) as minute, count(*) as count
      from messages group by grouping sets ((1), (2))
    ), senders_added as (
      insert into senders (msisdn, count)
      select from_msisdn, count from counted where from_msisdn is not null returning count
    ), minutes_added as (
      insert into minutes (minute, count)
      select minute, count from counted where minute is not null returning minute, count
    ), days_added as (
      insert into days (day, count)
      select substr(minute, 1, ${sql.lit(DAY_LENGTH)}), sum(count) from minutes_added group by 1
    )
    insert into totals (id, messages, senders)
    select 1, coalesce(sum(count), 0), count(*) from senders_added`.execute(session)
}

/**
 * Repairs what is derived from single messages, and then every counter: in one transaction, so that reads use the old
 * counters until the new ones are complete. Batches stored meanwhile stay uncounted until the next rollup.
 * @param reading one session that reads, @param writing another.
 */
export async function resetIndexes(reading: Session, writing: Session): Promise<void> {
  await inSnapshot(reading, (trx) => eachWrongRow(trx, (wrong) => mend(writing, wrong)))
  // The lock comes before the snapshot, in which no batch is half counted then.
  await withRollupLock(writing, () =>
    writing.transaction().setIsolationLevel('repeatable read').execute(recount),
  )
}
