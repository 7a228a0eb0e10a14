import { sql } from 'kysely'
import type { MessagePage, PageQuery } from '../../message-store.ts'
import {
  buildPage,
  MAX_PAGE_SIZE,
  PAGE_COLUMNS,
  PAGE_DETAIL_COLUMNS,
  type PageRow,
} from '../../page.ts'
import type { Session } from '../pool.ts'
import { type FilterBuilder, filterConditions, indexConditions, rangeConditions } from './filter.ts'
import { type PagePlan, planPage } from './plan.ts'
import { totalOf } from './total.ts'

/** Returns the condition that a message comes after the position of the cursor. */
function cursorConditions(eb: FilterBuilder, { after, order }: PageQuery) {
  if (!after) return []
  const position = eb.refTuple('messages.ts_key', 'messages.message_id')
  return [eb(position, order === 'asc' ? '>' : '<', eb.tuple(after.key, after.id))]
}

/** Bytes of a text and of a payload, which PostgreSQL knows without reading them. */
const TEXT_BYTES = sql`coalesce(octet_length(text), 0)`
const PAYLOAD_BYTES = sql`coalesce(octet_length(payload), 0)`

/**
 * Fetches the rows of a page, up to the limit on its size, and one more row that signals a next page.
 * `found` is the number of rows without the limit on its size, at most `limit + 1`.
 * Without a text or a recipient, skipped rows are read from an index only. The rows of the page are then read in full.
 */
async function fetchRows(
  session: Session,
  query: PageQuery,
  { offset, sortMatches, ...range }: PagePlan,
): Promise<{ rows: PageRow[]; found: number }> {
  const { order, limit } = query
  const matches = session
    .selectFrom('messages')
    .select(['messages.ts_key', 'messages.message_id'])
    .where((eb) =>
      eb.and([
        ...filterConditions(eb, query),
        ...(sortMatches ? indexConditions(eb, query) : []),
        ...rangeConditions(eb, range),
        ...cursorConditions(eb, query),
      ]),
    )
  const page = session
    // `offset 0` keeps the planner from flattening the subquery and reading in page order.
    .selectFrom((sortMatches ? matches.offset(0) : matches).as('matching'))
    .select(['ts_key', 'message_id'])
    .orderBy('ts_key', order)
    .orderBy('message_id', order)
    .limit(limit + 1)
    .offset(offset)
  const columns = query.details ? [...PAGE_COLUMNS, ...PAGE_DETAIL_COLUMNS] : PAGE_COLUMNS
  const bytes = query.details ? sql`${TEXT_BYTES} + ${PAYLOAD_BYTES}` : TEXT_BYTES
  const sized = session
    .selectFrom(page.as('page'))
    .innerJoin('messages', 'messages.message_id', 'page.message_id')
    .select(columns)
    .select(({ fn }) => [
      fn.countAll<number>().over().as('found'),
      sql<number | null>`sum(${bytes}) over (
        order by messages.ts_key ${sql.raw(order)}, messages.message_id ${sql.raw(order)}
        rows between unbounded preceding and 1 preceding)`.as('before'),
    ])
  const fetched = await session
    .selectFrom(sized.as('sized'))
    .selectAll()
    .where((eb) => eb.or([eb('before', 'is', null), eb('before', '<=', MAX_PAGE_SIZE)]))
    .orderBy('ts_key', order)
    .orderBy('message_id', order)
    .execute()
  const rows = fetched.map(({ before: _before, found: _found, ...row }) => row)
  return { rows, found: fetched[0]?.found ?? 0 }
}

/** Returns a page, with its total unless the query is without one. @param session a session in a snapshot. */
export async function page(session: Session, query: PageQuery): Promise<MessagePage> {
  const counts = await totalOf(session, query)
  if (counts.total !== undefined && query.offset >= counts.total) {
    return { data: [], total: counts.total, next: undefined }
  }
  const plan = await planPage(session, query, counts)
  const { rows, found } = await fetchRows(session, query, plan)
  return buildPage(rows, query, counts.total, found)
}
