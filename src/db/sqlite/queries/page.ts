import type { Compilable } from 'kysely'
import type { StoredMessage } from '../../../message/message.ts'
import { PAGE_COLUMNS } from '../../page.ts'
import { mapVariants, type PageVariant } from '../page-variant.ts'
import { build, compile, type Placeholders } from './compile.ts'
import { contains, eb } from './expressions.ts'
import {
  aboveWatermarkWhere,
  byInstant,
  inRun,
  inVisibleRun,
  ofMatches,
  ofSender,
  type PageParameters,
  type PagePlaceholders,
  type PositionQuery,
  phraseWhere,
  type SearchParameters,
  type SearchPlaceholders,
} from './positions.ts'
import { MAX_RUNS } from './sender-runs.ts'

/** Selects one page. Limit and offset apply to positions, so that skipped messages are not read. */
function pageOf(
  p: PagePlaceholders,
  positions: PositionQuery,
  { order }: PageVariant,
): Compilable<StoredMessage & { ts_key: string }> {
  const page = positions
    .orderBy('ts_key', order)
    .orderBy('message_id', order)
    .limit(p.limit)
    .offset(p.offset)
  return build
    .selectFrom(page.as('page'))
    .innerJoin('messages', 'messages.seq', 'page.seq')
    .select(PAGE_COLUMNS)
    .orderBy('page.ts_key', order)
    .orderBy('page.message_id', order)
}

function countOf(positions: PositionQuery): Compilable<{ count: number }> {
  return build.selectFrom(positions.as('positions')).select(eb.fn.countAll<number>().as('count'))
}

type Positions<Parameters> = (p: Placeholders<Parameters>, variant: PageVariant) => PositionQuery

/** The page in every variant. */
function pagesOf<Parameters extends PageParameters>(positions: Positions<Parameters>) {
  return mapVariants((variant) =>
    compile((p: Placeholders<Parameters>) => pageOf(p, positions(p, variant), variant)),
  )
}

/** The count without and with the recipient filter. */
function countsOf<Parameters extends PageParameters>(positions: Positions<Parameters>) {
  const count = (to: boolean) =>
    compile((p: Placeholders<Parameters>) =>
      countOf(positions(p, { order: 'asc', after: false, to })),
    )
  return { all: count(false), to: count(true) }
}

function statementsFor<Parameters extends PageParameters>(positions: Positions<Parameters>) {
  return { pages: pagesOf(positions), counts: countsOf(positions) }
}

/** Numbers of runs that the statements by sender merge: each more costs about 5 µs, also one that does not exist. */
export const FEW_RUNS = 16

/**
 * The statements by sender. A page is a compound select of the runs, one term each: every term yields the order of the
 * page, so that SQLite merges them and stops at the end of the page. A count needs no order.
 */
function statementsBySender(q: boolean) {
  const pages = (runs: number) =>
    pagesOf((p: PagePlaceholders, variant) => {
      const terms = Array.from({ length: runs }, (_, index) => inRun(p, index))
      return ofSender(p, variant, q, terms)
    })
  return {
    pages: pages(FEW_RUNS),
    pagesOfManyRuns: pages(MAX_RUNS),
    counts: countsOf((p: PagePlaceholders, variant) => ofSender(p, variant, q, [inVisibleRun])),
  }
}

/** The statements of the access paths that read keys or texts in the order of pages. */
export const orderedQueries = {
  instant: statementsFor((p: PagePlaceholders, variant) => byInstant(p, variant, false)),
  instantText: statementsFor((p: PagePlaceholders, variant) => byInstant(p, variant, true)),
  sender: statementsBySender(false),
  senderText: statementsBySender(true),
}

/** The statements of the access paths by the trigram index. */
export const searchQueries = {
  matches: statementsFor((p: SearchPlaceholders, variant) => ofMatches(p, variant, false)),
  matchesSender: statementsFor((p: SearchPlaceholders, variant) => ofMatches(p, variant, true)),
}

/** Counts of the messages whose text contains the needle, without other filters. */
export const matchCounts = {
  /** Matches of the phrase up to the watermark, by the index alone. */
  phrase: compile((p: Placeholders<SearchParameters>) =>
    phraseWhere(p).select(eb.fn.countAll<number>().as('count')),
  ),
  aboveWatermark: compile((p: Placeholders<{ watermark: number; q: string }>) =>
    countOf(aboveWatermarkWhere(p, [contains(p)])),
  ),
}
