import type { StoredMessage } from '../../../message/message.ts'
import type { MessagePage, PageQuery } from '../../message-store.ts'
import { buildPage, PAGE_COLUMNS } from '../../page.ts'
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

/**
 * Fetches the rows of a page, and one more row that signals a next page.
 * Skipped rows are read from an index only; the rows of the page are then read in full.
 */
async function fetchRows(
  session: Session,
  query: PageQuery,
  { offset, sortMatches, ...range }: PagePlan,
): Promise<(StoredMessage & { ts_key: string })[]> {
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
  return await session
    .selectFrom(page.as('page'))
    .innerJoin('messages', 'messages.message_id', 'page.message_id')
    .select(PAGE_COLUMNS)
    .orderBy('page.ts_key', order)
    .orderBy('page.message_id', order)
    .execute()
}

/** Returns a page and its total. @param session a session in a snapshot. */
export async function page(session: Session, query: PageQuery): Promise<MessagePage> {
  const counts = await totalOf(session, query)
  if (query.offset >= counts.total) return { data: [], total: counts.total, next: undefined }
  const plan = await planPage(session, query, counts)
  const rows = await fetchRows(session, query, plan)
  return buildPage(rows, query, counts.total)
}
