import type { Database } from 'better-sqlite3'
import { fold } from '../fold.ts'
import { isRestricted, rangeOf } from '../key-range.ts'
import { layPage, rankOfFirst, SKIP_AT_MOST, skipToMinute } from '../page-layout.ts'
import type { MessagePage, PageQuery } from '../store.ts'
import { prepareInstantCounts } from './instant-counts.ts'
import type { countQueries } from './queries/count.ts'
import type { matchCounts, pageQueries } from './queries/page.ts'
import { type Prepared, placeOf, prepare, prepareAll, type SlotValues } from './statement.ts'
import { isIndexed } from './trigrams.ts'

/** The queries of pages. */
export interface PageQueries {
  pages: typeof pageQueries
  matches: typeof matchCounts
}

type Driver = keyof typeof pageQueries

/**
 * What reading one row costs by what drives the question, measured and rounded: a row by its text is read and folded,
 * a match is looked up and sorted.
 */
const COST = { instantText: 3, senderText: 4, matches: 2 }

/**
 * Prepares pages and their totals on a connection; they are to be asked within one transaction. Each question is
 * driven by whatever promises to read the fewest rows: the index of instants, one sender's messages, or the trigrams.
 */
export function preparePaging(
  database: Database,
  { pages: pageFamilies, matches }: PageQueries,
  count: Prepared<typeof countQueries>,
): (query: PageQuery) => MessagePage {
  const pages = Object.fromEntries(
    Object.entries(pageFamilies).map(([driver, shapes]) => [
      driver,
      shapes.map((query) => prepare(database, query)),
    ]),
  )
  const match = prepareAll(database, matches)
  const instantCounts = prepareInstantCounts(count)

  return function page(query) {
    const restricted = isRestricted(query)
    const needle = fold(query.q ?? '')
    const { seq: watermark = 0, messages = 0 } = count.watermark.get() ?? {}
    const sender = query.from === undefined ? undefined : count.sender.get({ from: query.from })
    const values = {
      from: query.from,
      sender: sender?.id ?? 0,
      ...rangeOf(query),
      q: needle,
      phrase: `"${needle.replaceAll('"', '""')}"`,
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

    const { driver, total } = drive(query, values, inRange, sender?.count ?? 0, restricted)
    if (query.offset >= total) return { data: [], total, next: undefined }
    if (driver === 'instant' && query.offset > SKIP_AT_MOST && !query.after) {
      const ranks = { start, inRange }
      const minute = counted.minuteOfRank(rankOfFirst(query, ranks))
      Object.assign(values, skipToMinute(query, values, ranks, minute))
    }
    const rows = pages[driver]?.[placeOf({ order: query.order, after: !!query.after })]?.all(values)
    return layPage(rows ?? [], query, total)
  }

  /** How many messages match, and what to find a page of them by. */
  function drive(
    query: PageQuery,
    values: SlotValues,
    inRange: number,
    ofSender: number,
    restricted: boolean,
  ): { driver: Driver; total: number } {
    const from = query.from !== undefined
    if (values.q === '') {
      if (!from) return { driver: 'instant', total: inRange }
      const total = restricted
        ? match.sender.get(values)?.count
        : ofSender + (count.beyondOfSender.get(values)?.count ?? 0)
      return { driver: 'sender', total: total ?? 0 }
    }

    const searchable = isIndexed(String(values.q))
    const phrases = searchable ? (match.phrase.get(values)?.count ?? 0) : Number.POSITIVE_INFINITY
    const byMatches = from ? 'matchesSender' : 'matches'
    const byText = from ? 'senderText' : 'instantText'
    const textRows = from ? ofSender : inRange
    let total: number
    if (searchable && !from && !restricted) {
      total = phrases + (match.beyondText.get(values)?.count ?? 0)
    } else {
      const cheapest = phrases * COST.matches < textRows * COST[byText] ? byMatches : byText
      total = match[cheapest].get(values)?.count ?? 0
    }
    // By its text a page is met in order and may end early, if matches are spread evenly; by trigrams all are sorted.
    const met = (textRows / Math.max(total, 1)) * (query.offset + query.limit)
    const walked = Math.min(met, textRows) * COST[byText]
    return { driver: phrases * COST.matches < walked ? byMatches : byText, total }
  }
}
