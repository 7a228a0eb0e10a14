import type { Database } from 'better-sqlite3'
import { isUnindexed } from '../../message/filter.ts'
import { isRestricted } from '../key-range.ts'
import type { MessagePage, PageQuery } from '../message-store.ts'
import { buildPage, firstRank, MAX_PLAIN_OFFSET, type PageRow, skipToMinute } from '../page.ts'
import { filterParameters } from './filter-parameters.ts'
import { prepareInstantCounts } from './instant-counts.ts'
import { variantName } from './page-variant.ts'
import { type PageQueries, type Plan, Planner } from './planner.ts'
import type { countQueries } from './queries/count.ts'
import type { PageParameters } from './queries/positions.ts'
import { prepareRunPages } from './run-pages.ts'
import { type Prepared, prepareAll } from './statement.ts'

/** Prepares pages on a connection. The function that it returns must run within a read transaction. */
export function preparePaging(
  database: Database,
  compiled: PageQueries,
  count: Prepared<typeof countQueries>,
): (query: PageQuery) => MessagePage {
  const queries = prepareAll(database, compiled)
  const runPages = {
    sender: prepareRunPages(database, compiled.ordered.sender.pagesOfRuns),
    senderText: prepareRunPages(database, compiled.ordered.senderText.pagesOfRuns),
  }
  const planner = new Planner(database, queries, count)
  const instantCountsAt = prepareInstantCounts(count)

  return function page(query) {
    const { seq: watermark = 0, messages = 0 } = count.watermark.get() ?? {}
    const sender = query.from === undefined ? undefined : count.sender.get({ from: query.from })
    const values = {
      ...filterParameters(query),
      sender: sender?.id ?? 0,
      afterKey: query.after?.key ?? '',
      afterId: query.after?.id ?? '',
      // The extra row signals a next page.
      limit: query.limit + 1,
      offset: query.offset,
      watermark,
    }
    const restricted = isRestricted(query)
    const instantCounts = instantCountsAt(watermark)
    const start = restricted ? instantCounts.before(values.since) : 0
    const inRange = restricted
      ? Math.max(0, instantCounts.before(values.until) - start)
      : messages + (count.above.get(values)?.count ?? 0)

    const ofSender = sender?.count ?? 0
    const plan = planner.plan(query, values, { indexed: messages, inRange, ofSender, restricted })
    if (plan.total !== undefined && query.offset >= plan.total) {
      return { data: [], total: plan.total, next: undefined }
    }
    if (canSkipMinutes(query, plan)) {
      const ranks = { start, inRange }
      const minute = instantCounts.minuteOfRank(firstRank(query, ranks))
      Object.assign(values, skipToMinute(query, values, ranks, minute))
    }
    const rows = readRows(query, values, plan)
    return buildPage(query.details ? withDetails(rows) : rows, query, plan.total)
  }

  /** Adds their details to rows of the snapshot. */
  function* withDetails(rows: Iterable<PageRow>): Generator<PageRow, void> {
    for (const row of rows) yield { ...row, ...count.message.get({ message_id: row.message_id }) }
  }

  function readRows(query: PageQuery, values: PageParameters, plan: Plan) {
    const { order, after } = query
    const unindexed = isUnindexed(query)
    const variant = variantName({ order, after: after !== undefined, unindexed })
    if (plan.search) {
      return queries.search[plan.accessPath].pages[variant].iterate({ ...values, ...plan.search() })
    }
    const statements = queries.ordered[plan.accessPath]
    if ('pages' in statements) return statements.pages[variant].iterate(values)
    const runs = count.visibleRuns.all().map(({ run }) => run)
    return runPages[plan.accessPath === 'senderText' ? 'senderText' : 'sender'](
      variant,
      values,
      runs,
    )
  }
}

/** Whether the start of the page can be computed from the counters and its offset is worth it. */
function canSkipMinutes(query: PageQuery, { accessPath }: Plan): boolean {
  const { offset, after } = query
  return (
    accessPath === 'instant' &&
    !isUnindexed(query) &&
    offset > MAX_PLAIN_OFFSET &&
    after === undefined
  )
}
