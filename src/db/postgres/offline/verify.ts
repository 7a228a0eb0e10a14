import { sql } from 'kysely'
import { DAY_LENGTH, MINUTE_LENGTH } from '../../key-range.ts'
import type { Difference, Verification, VerifyListener } from '../../verification.ts'
import { type ComputedColumns, computeColumns } from '../computed-columns.ts'
import { withLock } from '../locks.ts'
import type { Session } from '../pool.ts'
import { fetchInChunks } from '../queries/cursor.ts'
import { countPending } from '../queries/pending.ts'
import { inSnapshot } from '../snapshot.ts'
import { feedDifferences, repairFeed } from './feed-batches.ts'

/** Counter tables: name, key column, and the expression of the key for a message. */
const COUNTERS = [
  ['senders', 'msisdn', sql<string>`from_msisdn`],
  ['days', 'day', sql<string>`substr(ts_key, 1, ${sql.lit(DAY_LENGTH)})`],
  ['minutes', 'minute', sql<string>`substr(ts_key, 1, ${sql.lit(MINUTE_LENGTH)})`],
] as const

/** Selects from the messages that the counters should include. */
function selectRolledUp(session: Session) {
  return session.selectFrom('messages').where((eb) => {
    const pending = eb
      .selectFrom('pending_batches')
      .select('pending_batches.batch')
      .whereRef('pending_batches.batch', '=', 'messages.batch')
    return eb.not(eb.exists(pending))
  })
}

async function counterDifferences(
  session: Session,
  [table, column, keyOfMessage]: (typeof COUNTERS)[number],
): Promise<Difference[]> {
  const stored = session.selectFrom(table).select([sql.ref<string>(column).as('key'), 'count'])
  const recounted = selectRolledUp(session)
    .select((eb) => [keyOfMessage.as('key'), eb.fn.countAll<number>().as('count')])
    .groupBy('key')
  const { missing, surplus, wrong } = await session
    .selectFrom(stored.as('stored'))
    .fullJoin(recounted.as('recounted'), 'recounted.key', 'stored.key')
    .select(({ fn }) => [
      fn.countAll<number>().filterWhere('stored.key', 'is', null).as('missing'),
      fn.countAll<number>().filterWhere('recounted.key', 'is', null).as('surplus'),
      fn.countAll<number>().filterWhereRef('stored.count', '<>', 'recounted.count').as('wrong'),
    ])
    .executeTakeFirstOrThrow()
  return [
    { table, kind: 'missing', count: missing },
    { table, kind: 'surplus', count: surplus },
    { table, kind: 'counted wrongly', count: wrong },
  ]
}

async function totalDifferences(
  session: Session,
): Promise<{ messages: number; differences: Difference[] }> {
  const { messages, senders } = await selectRolledUp(session)
    .select(({ fn }) => [
      fn.countAll<number>().as('messages'),
      fn.count<number>('from_msisdn').distinct().as('senders'),
    ])
    .executeTakeFirstOrThrow()
  const stored = await session.selectFrom('totals').selectAll().executeTakeFirst()
  const table = 'totals'
  const differences = [
    { table, kind: 'missing', count: stored ? 0 : 1 },
    {
      table,
      kind: 'off in the total of messages',
      count: Math.abs((stored?.messages ?? 0) - messages),
    },
    {
      table,
      kind: 'off in the total of senders',
      count: Math.abs((stored?.senders ?? 0) - senders),
    },
  ]
  return { messages, differences }
}

/** Compares the sizes of pending batches with their messages. */
async function pendingDifferences(session: Session): Promise<Difference[]> {
  const { wrong } = await session
    .selectFrom('pending_batches')
    .select(({ fn }) => fn.countAll<number>().as('wrong'))
    .where('messages', '<>', (eb) =>
      eb
        .selectFrom('messages')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .whereRef('messages.batch', '=', 'pending_batches.batch'),
    )
    .executeTakeFirstOrThrow()
  return [{ table: 'pending_batches', kind: 'counted wrongly', count: wrong }]
}

/** The computed columns of a message, and the columns that they are computed from. */
interface ComputedRow extends ComputedColumns {
  batch: number
  ordinal: number
  text: string | null
  ts: string
}

/**
 * Finds the messages whose computed columns are wrong.
 * Calls `onRows` for each chunk of messages, with the wrong rows and the number of rows read.
 * @param transaction a transaction in a snapshot.
 */
async function eachWrongRow(
  transaction: Session,
  onRows: (wrong: ComputedRow[], read: number) => Promise<void> | void,
): Promise<void> {
  const rows = transaction
    .selectFrom('messages')
    .select(['batch', 'ordinal', 'text', 'folded', 'search_key', 'ts', 'ts_key'])
  await fetchInChunks(transaction, rows, (chunk) => {
    const wrong = chunk.filter((row) => {
      const { folded, search_key, ts_key } = computeColumns(row)
      return row.folded !== folded || row.search_key !== search_key || row.ts_key !== ts_key
    })
    return onRows(wrong, chunk.length)
  })
}

/** Compares the counters, the computed columns and the order of the feed with the messages, in one snapshot. */
export function verify(session: Session, onProgress: VerifyListener): Promise<Verification> {
  return inSnapshot(session, async (trx) => {
    const { messages, differences } = await totalDifferences(trx)
    const pending = await countPending(trx)
    onProgress(0, messages)
    for (const counter of COUNTERS) differences.push(...(await counterDifferences(trx, counter)))
    differences.push(...(await pendingDifferences(trx)))
    differences.push(...(await feedDifferences(trx)))
    let wrongRows = 0
    let done = 0
    await eachWrongRow(trx, (wrong, read) => {
      wrongRows += wrong.length
      done += read
      onProgress(Math.min(done, messages), messages)
    })
    differences.push({
      table: 'messages',
      kind: 'with wrong folded text or keys',
      count: wrongRows,
    })
    return { messages, pending, differences: differences.filter(({ count }) => count > 0) }
  })
}

async function repairRows(session: Session, rows: ComputedRow[]): Promise<void> {
  for (const row of rows) {
    await session
      .updateTable('messages')
      .set(computeColumns(row))
      .where('batch', '=', row.batch)
      .where('ordinal', '=', row.ordinal)
      .execute()
  }
}

/** Recounts the messages in the snapshot, and removes its pending batches. */
async function recount(transaction: Session): Promise<void> {
  for (const table of ['senders', 'days', 'minutes', 'pending_batches', 'totals'] as const) {
    await transaction.deleteFrom(table).execute()
  }
  // Reads the messages once: days and totals follow from the minutes and the senders. Kysely has no `grouping sets`.
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
    select 1, coalesce(sum(count), 0), count(*) from senders_added`.execute(transaction)
}

/**
 * Repairs the computed columns of messages, then the order of the feed, then recounts every counter.
 * The recount is one transaction; reads use the old counters until it commits. Batches that are stored meanwhile stay
 * pending until the next rollup.
 * @param reading the session that reads the messages.
 * @param writing the session that writes.
 */
export async function resetIndexes(reading: Session, writing: Session): Promise<void> {
  await inSnapshot(reading, (trx) => eachWrongRow(trx, (wrong) => repairRows(writing, wrong)))
  // Take the lock before the snapshot, so that no rollup commits between the two.
  await withLock(writing, 'rollup', () =>
    writing
      .transaction()
      .setIsolationLevel('repeatable read')
      .execute(async (transaction) => {
        await repairFeed(transaction)
        await recount(transaction)
      }),
  )
}
