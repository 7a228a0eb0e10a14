import type { Database } from 'better-sqlite3'
import { isUnindexed } from '../../message/filter.ts'
import type { PageQuery } from '../message-store.ts'
import { type MatchRanges, prepareMatchRanges } from './match-ranges.ts'
import type { countQueries } from './queries/count.ts'
import type { matchCounts, orderedQueries, searchQueries } from './queries/page.ts'
import type { PageParameters, SearchParameters } from './queries/positions.ts'
import type { rangeQueries } from './queries/ranges.ts'
import type { Prepared } from './statement.ts'
import { indexSearch, isIndexed } from './trigrams.ts'

/** The statements that compute totals and read pages. */
export type PageQueries = {
  ordered: typeof orderedQueries
  search: typeof searchQueries
  matches: typeof matchCounts
  ranges: typeof rangeQueries
}

/**
 * The measured relative cost of reading one row by an access path.
 * By text, the row is read and folded; by match, it is looked up and sorted.
 */
const COST = { instantText: 3, senderText: 4, matches: 2 }

/** Numbers of messages that are known before a page is planned. */
export interface KnownCounts {
  /** Messages up to the watermark. */
  indexed: number
  /** Messages in the range of instants. */
  inRange: number
  /** Messages of the sender up to the watermark, 0 without one. */
  ofSender: number
  /** Whether the filter has a range of instants. */
  restricted: boolean
}

/**
 * The total of a page query, and the access path by which its page is read.
 * The total is undefined if the query is without one and the counters do not have it.
 * `search` returns the parameters of a search of the trigram index; its first call divides the index into ranges.
 */
export type Plan = { total: number | undefined } & (
  | { accessPath: keyof typeof orderedQueries; search?: never }
  | { accessPath: keyof typeof searchQueries; search: () => SearchParameters }
)

/** The search of the trigram index for a needle, and its estimates. */
interface IndexLookup extends Pick<MatchRanges, 'few' | 'candidates'> {
  /** Whether every match of the phrase contains the needle. */
  exact: boolean
  search: () => SearchParameters
}

/**
 * Computes totals and chooses access paths on a connection, within the read transaction of the caller.
 * A page is read by the access path with the lowest estimated cost: the index of instants, one sender's messages, or
 * the trigrams.
 */
export class Planner {
  readonly #count: Prepared<typeof countQueries>
  readonly #ordered: Prepared<typeof orderedQueries>
  readonly #search: Prepared<typeof searchQueries>
  readonly #matches: Prepared<typeof matchCounts>
  readonly #matchRanges: ReturnType<typeof prepareMatchRanges>
  readonly #databaseBytes: () => number

  constructor(
    database: Database,
    { ordered, search, matches, ranges }: Prepared<PageQueries>,
    count: Prepared<typeof countQueries>,
  ) {
    this.#count = count
    this.#ordered = ordered
    this.#search = search
    this.#matches = matches
    this.#matchRanges = prepareMatchRanges(ranges)
    const size = database
      .prepare<[], number>('select page_count * page_size from pragma_page_count, pragma_page_size')
      .pluck()
    this.#databaseBytes = () => size.get() ?? 0
  }

  /** Returns the total of a query and the access path for its page. */
  plan(query: PageQuery, values: PageParameters, known: KnownCounts): Plan {
    if (values.q === '') return this.#planWithoutText(query, values, known)
    const accessPath = query.from === undefined ? 'instantText' : 'senderText'
    if (isIndexed(values.q)) return this.#planIndexed(accessPath, query, values, known)
    return { accessPath, total: this.#countOrdered(accessPath, query, values) }
  }

  #planWithoutText(query: PageQuery, values: PageParameters, known: KnownCounts): Plan {
    const bySender = query.from !== undefined
    const accessPath = bySender ? 'sender' : 'instant'
    if (isUnindexed(query) || (bySender && known.restricted)) {
      return { accessPath, total: this.#countOrdered(accessPath, query, values) }
    }
    if (!bySender) return { accessPath, total: known.inRange }
    const above = this.#count.aboveOfSender.get(values)?.count ?? 0
    return { accessPath, total: known.ofSender + above }
  }

  #planIndexed(
    byText: 'instantText' | 'senderText',
    query: PageQuery,
    values: PageParameters,
    known: KnownCounts,
  ): Plan {
    const { from } = query
    const unindexed = isUnindexed(query)
    const byMatches = from === undefined ? 'matches' : 'matchesSender'
    const textRows = from === undefined ? known.inRange : known.ofSender
    const { few, candidates, exact, search } = this.#lookUp(values, known)
    const countPhrase = () => this.#matches.phrase.get(search())?.count ?? 0
    const phraseRows = few ? countPhrase() : candidates

    let total: number | undefined
    if (query.withTotal === false) {
      total = undefined
    } else if (from === undefined && !unindexed && !known.restricted && exact) {
      const above = this.#matches.aboveWatermark.get(values)?.count ?? 0
      total = (few ? phraseRows : countPhrase()) + above
    } else if (phraseRows * COST.matches < textRows * COST[byText]) {
      const counts = this.#search[byMatches].counts[unindexed ? 'unindexed' : 'indexed']
      total = counts.get({ ...values, ...search() })?.count ?? 0
    } else {
      total = this.#countOrdered(byText, query, values)
    }
    // By text, messages are read in the order of the page until it is full; this assumes that matches are spread
    // evenly. By trigrams, all matches are read and sorted.
    const expected = total ?? (phraseRows / Math.max(known.indexed, 1)) * textRows
    const rowsToPageEnd = (textRows / Math.max(expected, 1)) * (query.offset + query.limit)
    const textCost = Math.min(rowsToPageEnd, textRows) * COST[byText]
    return phraseRows * COST.matches < textCost
      ? { accessPath: byMatches, total, search }
      : { accessPath: byText, total }
  }

  #countOrdered(
    accessPath: keyof typeof orderedQueries,
    query: PageQuery,
    values: PageParameters,
  ): number | undefined {
    if (query.withTotal === false) return undefined
    const counts = this.#ordered[accessPath].counts[isUnindexed(query) ? 'unindexed' : 'indexed']
    return counts.get(values)?.count ?? 0
  }

  #lookUp({ q, watermark }: PageParameters, known: KnownCounts): IndexLookup {
    const indexed = indexSearch(q, this.#databaseBytes() / Math.max(1, known.indexed))
    const { few, candidates, ranges } = this.#matchRanges({ ...indexed, q }, watermark)
    let parameters: SearchParameters | undefined
    return {
      few,
      candidates,
      exact: indexed.exact,
      search: () => {
        parameters ??= {
          phrase: indexed.phrase,
          exact: indexed.exact ? 1 : 0,
          ranges: JSON.stringify(ranges()),
        }
        return parameters
      },
    }
  }
}
