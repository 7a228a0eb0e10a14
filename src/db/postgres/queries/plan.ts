import { sql } from 'kysely'
import {
  ALL_KEYS,
  DAY_LENGTH,
  endOf,
  type KeyRange,
  MINUTE_LENGTH,
  rangeOf,
} from '../../key-range.ts'
import type { PageQuery } from '../../message-store.ts'
import { firstRank, MAX_PLAIN_OFFSET, type Minute, skipToMinute } from '../../page.ts'
import type { Session } from '../pool.ts'
import { selectPendingMessages } from './pending.ts'
import { estimateMatches, needsScan, type PageTotal } from './total.ts'

/** How to fetch the rows of a page. The range is that of the sort keys to read. */
export interface PagePlan extends KeyRange {
  offset: number
  /**
   * Whether to find all matches first, through the text index where possible, and then sort them.
   * Otherwise messages are read in page order, and those that do not match are skipped.
   */
  sortMatches: boolean
}

/** A UTC day or minute, the number of its messages, and of those before it in the searched range. */
interface Bucket {
  bucket: string
  before: number
  count: number
}

/** Returns the day or minute that contains the message of this rank within the range. */
async function bucketOfRank(
  session: Session,
  table: 'days' | 'minutes',
  rank: number,
  { since, until }: KeyRange,
): Promise<Bucket> {
  const [column, length] =
    table === 'days' ? (['day', DAY_LENGTH] as const) : (['minute', MINUTE_LENGTH] as const)
  const bucket = sql.ref<string>(column)
  const rolledUp = session
    .selectFrom(table)
    .select([bucket.as('bucket'), 'count'])
    .where(bucket, '>=', since)
    .where(bucket, '<', until)
  const pending = selectPendingMessages(session)
    .select([
      sql<string>`substr(ts_key, 1, ${sql.lit(length)})`.as('bucket'),
      sql.lit(1).as('count'),
    ])
    .where('ts_key', '>=', since)
    .where('ts_key', '<', until)
  const buckets = session
    .selectFrom(rolledUp.unionAll(pending).as('parts'))
    .select((eb) => ['bucket', eb.fn.sum<number>('count').as('count')])
    .groupBy('bucket')
  const ranks = session.selectFrom(buckets.as('buckets')).select((eb) => {
    const upToHere = eb.fn.sum<number>('count').over((over) => over.orderBy('bucket'))
    return ['bucket', 'count', eb(upToHere, '-', eb.ref('count')).as('before')]
  })
  const found = await session
    .selectFrom(ranks.as('ranks'))
    .select((eb) => [
      'bucket',
      eb.cast<number>('before', 'bigint').as('before'),
      eb.cast<number>('count', 'bigint').as('count'),
    ])
    .where('before', '<=', rank)
    .where((eb) => eb(eb.val(rank), '<', eb('before', '+', eb.ref('count'))))
    .executeTakeFirst()
  if (!found) throw new RangeError(`no message has rank ${rank}`)
  return found
}

/** Returns the minute that contains the message of this rank in the order of sort keys. */
async function minuteOfRank(session: Session, rank: number): Promise<Minute> {
  const day = await bucketOfRank(session, 'days', rank, ALL_KEYS)
  const range = { since: day.bucket, until: endOf(day.bucket) }
  const minute = await bucketOfRank(session, 'minutes', rank - day.before, range)
  return {
    since: minute.bucket,
    until: endOf(minute.bucket),
    before: day.before + minute.before,
    count: minute.count,
  }
}

/**
 * Plans how to fetch a page.
 * @param counts counts of the same snapshot, with `total` above `query.offset` or undefined.
 */
export async function planPage(
  session: Session,
  query: PageQuery,
  counts: PageTotal,
): Promise<PagePlan> {
  const range = rangeOf(query)
  if (needsScan(query)) {
    const expected = counts.total ?? (await estimateMatches(session, query))
    // Messages to read in order until the page is full, if the matches are evenly distributed.
    const readInOrder = (counts.inRange / Math.max(expected, 1)) * (query.offset + query.limit)
    return { ...range, offset: query.offset, sortMatches: expected < readInOrder }
  }
  if (query.from !== undefined || query.after || query.offset <= MAX_PLAIN_OFFSET) {
    return { ...range, offset: query.offset, sortMatches: false }
  }
  const minute = await minuteOfRank(session, firstRank(query, counts))
  return { ...skipToMinute(query, range, counts, minute), sortMatches: false }
}
