import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import { fold } from '../../../message/fold.ts'
import type { StoredMessage } from '../../../message/message.ts'
import { isRestricted, type KeyRange, rangeOf } from '../../key-range.ts'
import type { MessagePage, PageQuery } from '../../message-store.ts'
import {
  buildPage,
  firstRank,
  MAX_PLAIN_OFFSET,
  PAGE_COLUMNS,
  type RangeCounts,
  skipToMinute,
} from '../../page.ts'
import type { Session } from '../pool.ts'
import type { PostgresSchema } from '../schema.ts'
import { countAll, countBefore, countOfSender, minuteOfRank } from './counts.ts'
import { filterConditions, indexConditionsOf, rangeConditions } from './filter.ts'

/** What a page is laid by: where it begins and how many rows are skipped there. */
interface Place extends KeyRange {
  offset: number
}

type Conditions = (eb: ExpressionBuilder<PostgresSchema, 'messages'>) => Expression<SqlBool>

/** How many messages match, found by looking at each of them. */
async function countMatching(session: Session, query: PageQuery, range: KeyRange): Promise<number> {
  const { count } = await session
    .selectFrom('messages')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where((eb) =>
      eb.and([
        ...filterConditions(eb, query),
        ...indexConditionsOf(eb, query),
        ...rangeConditions(eb, range),
      ]),
    )
    .executeTakeFirstOrThrow()
  return count
}

/** Rows of a page and one more, which tells whether there is a next one: found over keys, so that skipping reads none. */
async function rowsOf(
  session: Session,
  { order, limit, after, ...filter }: PageQuery,
  place: Place,
  few: boolean,
): Promise<(StoredMessage & { ts_key: string })[]> {
  const conditions: Conditions = (eb) =>
    eb.and([
      ...filterConditions(eb, filter),
      // Where many match, the order leads to a full page sooner than the index of texts.
      ...(few ? indexConditionsOf(eb, filter) : []),
      ...rangeConditions(eb, place),
      ...(after
        ? [
            eb(
              eb.refTuple('messages.ts_key', 'messages.message_id'),
              order === 'asc' ? '>' : '<',
              eb.tuple(after.key, after.id),
            ),
          ]
        : []),
    ])
  const matching = session
    .selectFrom('messages')
    .select(['messages.ts_key', 'messages.message_id'])
    .where(conditions)
  // Where few match, they are found first and sorted then: in order, all others would be met before the last of them.
  // (An offset, be it 0, keeps PostgreSQL from seeing through the query.)
  const page = session
    .selectFrom((few ? matching.offset(0) : matching).as('matching'))
    .select(['ts_key', 'message_id'])
    .orderBy('ts_key', order)
    .orderBy('message_id', order)
    .limit(limit + 1)
    .offset(place.offset)
  return await session
    .selectFrom(page.as('page'))
    .innerJoin('messages', 'messages.message_id', 'page.message_id')
    .select(PAGE_COLUMNS)
    .orderBy('page.ts_key', order)
    .orderBy('page.message_id', order)
    .execute()
}

/** A page and its total, to be asked within one snapshot. Where counters can tell the total, nothing is counted. */
export async function page(session: Session, query: PageQuery): Promise<MessagePage> {
  const range = rangeOf(query)
  const restricted = isRestricted(query)
  // What no counter knows: its matches are counted one by one.
  const scanned = fold(query.q ?? '') !== '' || query.to !== undefined
  const ranks: RangeCounts = { start: 0, inRange: 0 }
  if (query.from !== undefined) {
    ranks.inRange = await countOfSender(session, query.from)
  } else if (restricted) {
    const before = await countBefore(session, range)
    ranks.start = before.since
    ranks.inRange = Math.max(0, before.until - before.since)
  } else {
    ranks.inRange = await countAll(session)
  }
  const counted = !scanned && (query.from === undefined || !restricted)
  const total = counted ? ranks.inRange : await countMatching(session, query, range)
  if (query.offset >= total) return { data: [], total, next: undefined }

  // Messages that would be met in order until the page is full, if matches are spread evenly.
  const met = (ranks.inRange / total) * (query.offset + query.limit)
  const few = scanned && total < met
  const byInstant = !scanned && query.from === undefined && !query.after
  const place =
    byInstant && query.offset > MAX_PLAIN_OFFSET
      ? skipToMinute(query, range, ranks, await minuteOfRank(session, firstRank(query, ranks)))
      : { ...range, offset: query.offset }
  return buildPage(await rowsOf(session, query, place, few), query, total)
}
