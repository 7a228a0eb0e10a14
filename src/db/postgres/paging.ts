import type { Static } from '@sinclair/typebox'
import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import type { StoredMessage } from '../../schemas/messages.ts'
import { fold } from '../fold.ts'
import type { MessagePage, PageQuery } from '../store.ts'
import { countAll, countBefore, countOfSender, minuteOfRank } from './counts.ts'
import type { Session } from './lane.ts'
import { conditionsOf, type KeyRange, rangeOf, withinRange } from './range.ts'
import type { PostgresSchema } from './schema.ts'

/** An offset up to which rows are skipped one by one: cheaper than counting days. */
const SKIP_AT_MOST = 200

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
    .where((eb) => eb.and([...conditionsOf(eb, query), ...withinRange(eb, range)]))
    .executeTakeFirstOrThrow()
  return count
}

/** Rows of a page and one more, which tells whether there is a next one: found over keys, so that skipping reads none. */
async function rowsOf(
  session: Session,
  { order, limit, after, ...filter }: PageQuery,
  place: Place,
  few: boolean,
): Promise<(Static<typeof StoredMessage> & { ts_key: string })[]> {
  const conditions: Conditions = (eb) =>
    eb.and([
      ...conditionsOf(eb, filter),
      ...withinRange(eb, place),
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
    .select([
      'messages.message_id',
      'from_msisdn',
      'to_msisdn',
      'ts',
      'text',
      'created_at',
      'messages.ts_key',
    ])
    .orderBy('page.ts_key', order)
    .orderBy('page.message_id', order)
    .execute()
}

/** The range and the offset that are left when whole minutes are skipped. */
async function skip(
  session: Session,
  { order, offset }: PageQuery,
  range: KeyRange,
  start: number,
  inRange: number,
): Promise<Place> {
  const asItIs = { ...range, offset }
  if (order === 'asc') {
    const minute = await minuteOfRank(session, start + offset)
    if (minute.before <= start) return asItIs
    const left = start + offset - minute.before
    return { ...range, since: minute.start, restricted: true, offset: left }
  }
  const minute = await minuteOfRank(session, start + inRange - 1 - offset)
  const end = minute.before + minute.count
  if (end >= start + inRange) return asItIs
  return {
    ...range,
    until: minute.end,
    restricted: true,
    offset: offset - (start + inRange - end),
  }
}

/** A page and its total, to be asked within one snapshot. Where counters can tell the total, nothing is counted. */
export async function page(session: Session, query: PageQuery): Promise<MessagePage> {
  const range = rangeOf(query)
  const searched = fold(query.q ?? '') !== ''
  let start = 0
  let inRange = 0
  /** Messages that are met when the page is looked for in order. */
  let met: number
  if (query.from !== undefined) {
    met = await countOfSender(session, query.from)
  } else if (range.restricted) {
    const before = await countBefore(session, range.since, range.until)
    start = before.since
    inRange = Math.max(0, before.until - before.since)
    met = inRange
  } else {
    inRange = await countAll(session)
    met = inRange
  }
  const counted = !searched && (query.from === undefined || !range.restricted)
  const total = counted ? met : await countMatching(session, query, range)
  if (query.offset >= total) return { data: [], total, next: undefined }

  const few = searched && total < (met / total) * (query.offset + query.limit)
  const byInstant = !searched && query.from === undefined && !query.after
  const place =
    byInstant && query.offset > SKIP_AT_MOST
      ? await skip(session, query, range, start, inRange)
      : { ...range, offset: query.offset }
  const found = await rowsOf(session, query, place, few)
  const more = found.length > query.limit
  const data = more ? found.slice(0, query.limit) : found
  const last = data.at(-1)
  return {
    data: data.map(({ ts_key: _key, ...message }) => message),
    total,
    next: more && last ? { key: last.ts_key, id: last.message_id } : undefined,
  }
}
