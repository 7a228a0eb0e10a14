import { sql } from 'kysely'
import type { KeyRange } from '../../key-range.ts'
import type { TimelineQuery } from '../../message-store.ts'
import { type TimelineParts, TimelinePlan } from '../../timeline.ts'
import type { Session } from '../pool.ts'
import { selectPendingMessages } from './pending.ts'

/** The bounds of a range, to which the subquery of `countEach` refers. */
const SINCE = sql.ref<string>('ranges.since')
const UNTIL = sql.ref<string>('ranges.until')

/** Returns a count for each range of keys, by a subquery that refers to `SINCE` and `UNTIL`. */
async function countEach(
  session: Session,
  ranges: readonly KeyRange[],
  count: ReturnType<typeof sql>,
): Promise<number[]> {
  if (ranges.length === 0) return []
  const since = ranges.map((range) => range.since)
  const until = ranges.map((range) => range.until)
  const { rows } = await sql<{ count: number }>`
    select coalesce((${count}), 0)::bigint as count
    from unnest(${since}::text[], ${until}::text[]) with ordinality as ranges (since, until, number)
    order by number`.execute(session)
  return rows.map(({ count }) => count)
}

/** Returns the number of rolled-up messages in each bucket. */
async function countRolledUp(session: Session, boundaries: readonly string[]): Promise<number[]> {
  const plan = new TimelinePlan(boundaries)
  const { first, last } = plan.days
  const days: TimelineParts['days'] = await session
    .selectFrom('days')
    .select(['day as bucket', 'count'])
    .where('day', '>=', first)
    .where('day', '<=', last)
    .orderBy('day')
    .execute()
  const minutes = session
    .selectFrom('minutes')
    .select((eb) => eb.fn.sum('count').as('count'))
    .where('minute', '>=', SINCE)
    .where('minute', '<', UNTIL)
  const keys = session
    .selectFrom('messages')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('ts_key', '>=', SINCE)
    .where('ts_key', '<', UNTIL)
    .where('batch', 'not in', (eb) => eb.selectFrom('pending_batches').select('batch'))
  return plan.combine({
    days,
    minutes: await countEach(session, plan.minutes, sql`${minutes}`),
    keys: await countEach(session, plan.keys, sql`${keys}`),
  })
}

/** Adds the messages of pending batches to the counts. */
async function addPending(
  session: Session,
  boundaries: readonly string[],
  counts: number[],
): Promise<void> {
  const pending = await selectPendingMessages(session)
    .select((eb) => [
      sql<number>`width_bucket(ts_key, ${boundaries}::text[] collate "C")`.as('bucket'),
      eb.fn.countAll<number>().as('count'),
    ])
    .where('ts_key', '>=', boundaries[0] ?? '')
    .where('ts_key', '<', boundaries.at(-1) ?? '')
    .groupBy('bucket')
    .execute()
  for (const { bucket, count } of pending) counts[bucket - 1] = (counts[bucket - 1] ?? 0) + count
}

/** Returns the number of messages in each bucket. @param session a session in a snapshot. */
export async function timeline(
  session: Session,
  { boundaries, from }: TimelineQuery,
): Promise<number[]> {
  if (from !== undefined) {
    const ranges = boundaries
      .slice(1)
      .map((until, index) => ({ since: boundaries[index] ?? '', until }))
    const ofSender = session
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll().as('count'))
      .where('from_msisdn', '=', from)
      .where('ts_key', '>=', SINCE)
      .where('ts_key', '<', UNTIL)
    return countEach(session, ranges, sql`${ofSender}`)
  }
  const counts = await countRolledUp(session, boundaries)
  await addPending(session, boundaries, counts)
  return counts
}
