import { isUnindexed } from '../../../message/filter.ts'
import { fold } from '../../../message/fold.ts'
import { isRestricted, rangeOf } from '../../key-range.ts'
import type { PageQuery } from '../../message-store.ts'
import type { RangeCounts } from '../../page.ts'
import type { Session } from '../pool.ts'
import { countAll, countBeforeBounds, countOfSender } from './counts.ts'
import { filterConditions, indexConditions, rangeConditions } from './filter.ts'

/** Total of a page query, and the counts that its plan depends on. */
export interface PageTotal extends RangeCounts {
  /** Messages that match every filter; undefined if the query is without a total and the counters do not have it. */
  total: number | undefined
}

/** Whether the filter has a text or a field without an index, for which there are no counters. */
export function needsScan(query: PageQuery): boolean {
  return fold(query.q ?? '') !== '' || isUnindexed(query)
}

/** Returns counts from the counters: of the sender if the query has one, else of the range. */
async function countCandidates(session: Session, query: PageQuery): Promise<RangeCounts> {
  if (query.from !== undefined) {
    return { start: 0, inRange: await countOfSender(session, query.from) }
  }
  if (!isRestricted(query)) return { start: 0, inRange: await countAll(session) }
  const { since, until } = await countBeforeBounds(session, rangeOf(query))
  return { start: since, inRange: Math.max(0, until - since) }
}

/** Selects the messages that match every filter. */
function selectMatches(session: Session, query: PageQuery) {
  return session
    .selectFrom('messages')
    .where((eb) =>
      eb.and([
        ...filterConditions(eb, query),
        ...indexConditions(eb, query),
        ...rangeConditions(eb, rangeOf(query)),
      ]),
    )
}

/** Counts the messages that match every filter, by reading them. */
async function countMatches(session: Session, query: PageQuery): Promise<number> {
  const { count } = await selectMatches(session, query)
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return count
}

/** Returns PostgreSQL's estimate of the number of messages that match every filter, without reading them. */
export async function estimateMatches(session: Session, query: PageQuery): Promise<number> {
  const [explained] = await selectMatches(session, query)
    .select('messages.message_id')
    .explain<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>('json')
  return explained?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0
}

/** Returns the total of a page query with one; reads the messages only if the counters do not suffice. */
export async function totalOf(session: Session, query: PageQuery): Promise<PageTotal> {
  const counts = await countCandidates(session, query)
  const exact = !needsScan(query) && (query.from === undefined || !isRestricted(query))
  if (exact) return { ...counts, total: counts.inRange }
  return {
    ...counts,
    total: query.withTotal === false ? undefined : await countMatches(session, query),
  }
}
