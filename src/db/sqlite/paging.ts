import type { Database } from 'better-sqlite3'
import type { MessageFilter } from '../../message/filter.ts'
import { fold } from '../../message/fold.ts'
import { isRestricted, rangeOf } from '../key-range.ts'
import type { MessagePage, PageQuery } from '../message-store.ts'
import { buildPage, firstRank, MAX_PLAIN_OFFSET, skipToMinute } from '../page.ts'
import { prepareInstantCounts } from './instant-counts.ts'
import { prepareMatchRanges } from './match-ranges.ts'
import type { countQueries } from './queries/count.ts'
import type { drivenCounts, matchCounts, pageQueries } from './queries/page.ts'
import type { rangeQueries } from './queries/ranges.ts'
import {
  type CompiledStatement,
  type ParameterValues,
  type Prepared,
  type PreparedStatement,
  placeOf,
  prepare,
  prepareAll,
} from './statement.ts'
import { indexSearch, isIndexed } from './trigrams.ts'

/** The queries of pages. */
export interface PageQueries {
  pages: typeof pageQueries
  drivenCounts: typeof drivenCounts
  matches: typeof matchCounts
  ranges: typeof rangeQueries
}

type Driver = keyof typeof pageQueries

/**
 * What reading one row costs by what drives the question, measured and rounded: a row by its text is read and folded,
 * a match is looked up and sorted.
 */
const COST = { instantText: 3, senderText: 4, matches: 2 }

/** Prepares every variant of each planner's query. */
function prepareVariants<Name extends string, Row>(
  database: Database,
  family: Record<Name, CompiledStatement<Row>[]>,
): Record<Name, PreparedStatement<Row>[]> {
  const prepared = Object.entries<CompiledStatement<Row>[]>(family).map(([name, variants]) => [
    name,
    variants.map((query) => prepare(database, query)),
  ])
  return Object.fromEntries(prepared)
}

/** The values of a filter's conditions, for pages and scans alike. */
export function filterValues(filter: MessageFilter) {
  return {
    from: filter.from,
    to: filter.to,
    ...rangeOf(filter),
    q: fold(filter.q ?? ''),
  } satisfies Record<keyof MessageFilter, string | undefined>
}

/**
 * Prepares pages and their totals on a connection; they are to be asked within one transaction. Each question is
 * driven by whatever promises to read the fewest rows: the index of instants, one sender's messages, or the trigrams.
 */
export function preparePaging(
  database: Database,
  queries: PageQueries,
  count: Prepared<typeof countQueries>,
): (query: PageQuery) => MessagePage {
  const pages = prepareVariants(database, queries.pages)
  const counts = prepareVariants(database, queries.drivenCounts)
  const match = prepareAll(database, queries.matches)
  const matchRanges = prepareMatchRanges(prepareAll(database, queries.ranges))
  const instantCounts = prepareInstantCounts(count)
  const size = database.prepare<[], number>(
    'select page_count * page_size from pragma_page_count, pragma_page_size',
  )
  size.pluck()

  return function page(query) {
    const restricted = isRestricted(query)
    const filter = filterValues(query)
    const { seq: watermark = 0, messages = 0 } = count.watermark.get() ?? {}
    const sender = query.from === undefined ? undefined : count.sender.get({ from: query.from })
    const values = {
      ...filter,
      sender: sender?.id ?? 0,
      afterKey: query.after?.key,
      afterId: query.after?.id,
      // One more than asked for tells whether there is a next page.
      limit: query.limit + 1,
      offset: query.offset,
      watermark,
    }
    const counted = instantCounts(watermark)
    const start = restricted ? counted.before(values.since) : 0
    const inRange = restricted
      ? Math.max(0, counted.before(values.until) - start)
      : messages + (count.beyond.get(values)?.count ?? 0)

    const { driver, total, search } = drive(query, values, inRange, sender?.count ?? 0, restricted)
    if (query.offset >= total) return { data: [], total, next: undefined }
    const to = query.to !== undefined
    if (driver === 'instant' && !to && query.offset > MAX_PLAIN_OFFSET && !query.after) {
      const ranks = { start, inRange }
      const minute = counted.minuteOfRank(firstRank(query, ranks))
      Object.assign(values, skipToMinute(query, values, ranks, minute))
    }
    const variant = placeOf({ order: query.order, after: !!query.after, to })
    const rows = pages[driver][variant]?.all(search ? { ...values, ...search() } : values)
    return buildPage(rows ?? [], query, total)
  }

  /** Returns the total, the access path for a page, and for an index search the values of its parameters. */
  function drive(
    query: PageQuery,
    values: ParameterValues & { q: string; watermark: number },
    inRange: number,
    ofSender: number,
    restricted: boolean,
  ): { driver: Driver; total: number; search?: () => ParameterValues } {
    const from = query.from !== undefined
    const to = query.to !== undefined
    const countBy = (driver: Driver, more?: ParameterValues) =>
      counts[driver][to ? 1 : 0]?.get({ ...values, ...more })?.count ?? 0
    if (values.q === '') {
      const driver = from ? 'sender' : 'instant'
      if (to || (from && restricted)) return { driver, total: countBy(driver) }
      const total = from ? ofSender + (count.beyondOfSender.get(values)?.count ?? 0) : inRange
      return { driver, total }
    }

    const byText = from ? 'senderText' : 'instantText'
    const textRows = from ? ofSender : inRange
    if (!isIndexed(values.q)) return { driver: byText, total: countBy(byText) }
    const byMatches = from ? 'matchesSender' : 'matches'
    const { few, candidates, search, exact } = lookUp(values)
    const countPhrase = () => match.phrase.get(search())?.count ?? 0
    const phrases = few ? countPhrase() : candidates

    let total: number
    if (!from && !to && !restricted && exact) {
      total = (few ? phrases : countPhrase()) + (match.beyondText.get(values)?.count ?? 0)
    } else {
      const cheaper = phrases * COST.matches < textRows * COST[byText]
      total = cheaper ? countBy(byMatches, search()) : countBy(byText)
    }
    // By its text a page is met in order and may end early, if matches are spread evenly; by trigrams all are sorted.
    const met = (textRows / Math.max(total, 1)) * (query.offset + query.limit)
    const walked = Math.min(met, textRows) * COST[byText]
    return phrases * COST.matches < walked
      ? { driver: byMatches, total, search }
      : { driver: byText, total }
  }

  /** What is known of a search of the index, whose ranges are found when they are first needed. */
  function lookUp({ q, watermark }: { q: string; watermark: number }) {
    const indexed = indexSearch(q, (size.get() ?? 0) / Math.max(1, watermark))
    const { few, candidates, ranges } = matchRanges({ ...indexed, q }, watermark)
    let found: string | undefined
    const search = (): ParameterValues => {
      found ??= JSON.stringify(ranges())
      return { ...indexed, exact: Number(indexed.exact), ranges: found }
    }
    return { few, candidates, search, exact: indexed.exact }
  }
}
