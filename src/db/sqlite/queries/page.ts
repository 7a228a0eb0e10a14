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
  type RunParameters,
  type SearchParameters,
  type SearchPlaceholders,
} from './positions.ts'

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

/** The count without and with filters that no index serves. */
function countsOf<Parameters extends PageParameters>(positions: Positions<Parameters>) {
  const count = (unindexed: boolean) =>
    compile((p: Placeholders<Parameters>) =>
      countOf(positions(p, { order: 'asc', after: false, unindexed })),
    )
  return { indexed: count(false), unindexed: count(true) }
}

function statementsFor<Parameters extends PageParameters>(positions: Positions<Parameters>) {
  return { pages: pagesOf(positions), counts: countsOf(positions) }
}

/**
 * The statements by sender.
 * A page is a compound select, compiled with the term for one run, which `prepareRunPages` repeats for each run. Every
 * term returns rows in the order of the page, so SQLite merges them and stops at the end of the page. A count needs no
 * order, and so no term for each run.
 */
function statementsBySender(q: boolean) {
  return {
    pagesOfRuns: mapVariants((variant) => ({
      page: compile((p: Placeholders<PageParameters & RunParameters>) =>
        pageOf(p, ofSender(p, variant, q, inRun(p)).positions, variant),
      ),
      term: compile(
        (p: Placeholders<PageParameters & RunParameters>) =>
          ofSender(p, variant, q, inRun(p)).inRuns,
      ),
    })),
    counts: countsOf(
      (p: PagePlaceholders, variant) => ofSender(p, variant, q, inVisibleRun).positions,
    ),
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
