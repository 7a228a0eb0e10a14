import { type Compilable, type SelectQueryBuilder, type SqlBool, sql } from 'kysely'
import type { StoredMessage } from '../../../message/message.ts'
import { PAGE_COLUMNS } from '../../page.ts'
import type { FilterParameters } from '../filter-parameters.ts'
import { mapVariants, type PageVariant } from '../page-variant.ts'
import type { SqliteSchema } from '../schema.ts'
import { build, compile, type Placeholders } from './compile.ts'
import {
  aboveWatermark,
  byRecipient,
  bySender,
  type Condition,
  checkCancelled,
  contains,
  eb,
  unindexed,
} from './expressions.ts'

/** The parameters of a page. */
export type PageParameters = FilterParameters & {
  watermark: number
  /** The sender's row in `senders`. */
  sender: number
  /** The position that the page starts after. */
  afterKey: string
  afterId: string
  limit: number
  offset: number
}

/** The further parameters of a search of the trigram index. */
export type SearchParameters = {
  /** FTS5 query for the phrase. */
  phrase: string
  /** Whether every match of the phrase contains the needle. */
  exact: Extract<SqlBool, number>
  /** JSON array of the rowid ranges to search, `[first, last]` each, both inclusive. */
  ranges: string
}

type PagePlaceholders = Placeholders<PageParameters>
type SearchPlaceholders = Placeholders<PageParameters & SearchParameters>

/** The tables, and the ranges of the trigram index that a search reads. */
interface SearchSchema extends SqliteSchema {
  ranges: { first: number; last: number }
}

/** A query for the positions of messages, before their other columns are read. */
type PositionQuery = SelectQueryBuilder<
  SearchSchema,
  keyof SearchSchema,
  { seq: number; ts_key: string; message_id: string }
>

/** The recipient filter. No index serves it, so it checks for cancellation at every row that it reads. */
function toRecipient(p: PagePlaceholders, { to }: PageVariant): Condition[] {
  return to ? [checkCancelled, byRecipient(p)] : []
}

/** The sort keys and ids that the range of instants and the position of a page refer to. */
const POSITIONS = {
  messages: { key: eb.ref('messages.ts_key'), id: eb.ref('messages.message_id') },
  sender_messages: {
    key: eb.ref('sender_messages.ts_key'),
    id: eb.ref('sender_messages.message_id'),
  },
  // The rows above the watermark are few: they are found by `seq`, not by the index of instants.
  aboveWatermark: { key: unindexed('messages.ts_key'), id: eb.ref('messages.message_id') },
}

/**
 * The range of instants and the position that a page starts after.
 * An absent bound has an extreme key as its value.
 */
function within(
  p: PagePlaceholders,
  rows: keyof typeof POSITIONS,
  { order, after }: PageVariant,
): Condition[] {
  const { key, id } = POSITIONS[rows]
  const range = [eb(key, '>=', p.since), eb(key, '<', p.until)]
  if (!after) return range
  const operator = sql.raw(order === 'asc' ? '>' : '<')
  // A row value: the builder compares tuples of columns only, and this key may be an expression.
  return [...range, sql<SqlBool>`(${key}, ${id}) ${operator} (${p.afterKey}, ${p.afterId})`]
}

/** The positions of messages that fulfil the conditions. */
function messagesWhere(conditions: Condition[]) {
  return build
    .selectFrom('messages')
    .select(['messages.seq', 'messages.ts_key', 'messages.message_id'])
    .where(eb.and(conditions))
}

/** The positions of messages above the watermark, which are found by `seq` and sorted afterwards. */
function aboveWatermarkWhere(p: Placeholders<{ watermark: number }>, conditions: Condition[]) {
  return build
    .selectFrom('messages')
    .select([
      'messages.seq',
      unindexed('messages.ts_key').as('ts_key'),
      unindexed('messages.message_id').as('message_id'),
    ])
    .where(eb.and([aboveWatermark(p), ...conditions]))
}

/**
 * The positions of one sender's messages up to the watermark.
 * Reads the messages only if there are row conditions.
 */
function senderWhere(p: PagePlaceholders, conditions: Condition[], rowConditions: Condition[]) {
  const positions = build
    .selectFrom('sender_messages')
    .select(['sender_messages.seq', 'sender_messages.ts_key', 'sender_messages.message_id'])
    .where('sender_messages.sender', '=', p.sender)
    .where(eb.and(conditions))
  if (rowConditions.length === 0) return positions
  // SQLite never changes the order of a cross join.
  return positions
    .crossJoin('messages')
    .whereRef('messages.seq', '=', 'sender_messages.seq')
    .where(eb.and(rowConditions))
}

/**
 * Rows of the trigram index that match the phrase, in the ranges that `prepareMatchRanges` returns.
 * FTS5 calls no function for rows that it compares and drops, so each range bounds the work between two cancellation
 * checks.
 */
function phraseWhere({ phrase, ranges }: Placeholders<SearchParameters>) {
  const rowidRanges = sql<SearchSchema['ranges']>`(
  select value ->> 0 as first, value ->> 1 as last from json_each(${ranges}))`
  return build
    .selectFrom(rowidRanges.as('ranges'))
    .crossJoin('trigrams')
    .where('trigrams.trigrams', 'match', phrase)
    .whereRef('trigrams.rowid', '>=', 'ranges.first')
    .whereRef('trigrams.rowid', '<=', 'ranges.last')
    .where(checkCancelled)
}

/** The positions of messages up to the watermark whose text contains the needle. */
function matchesWhere(p: SearchPlaceholders, conditions: Condition[]) {
  // The phrase is the needle, or the beginning of a long one.
  const matches = eb.or([p.exact, contains(p)])
  return phraseWhere(p)
    .crossJoin('messages')
    .select(['messages.seq', 'messages.ts_key', 'messages.message_id'])
    .whereRef('messages.seq', '=', 'trigrams.rowid')
    .where(eb.and([matches, ...conditions]))
}

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

/** By the index of instants, which covers all messages. */
function byInstant(p: PagePlaceholders, variant: PageVariant, q: boolean): PositionQuery {
  return messagesWhere([
    ...within(p, 'messages', variant),
    ...toRecipient(p, variant),
    ...(q ? [contains(p)] : []),
  ])
}

/** By sender: the sender's positions up to the watermark, and the messages above it. */
function ofSender(p: PagePlaceholders, variant: PageVariant, q: boolean): PositionQuery {
  const rowConditions = [...toRecipient(p, variant), ...(q ? [contains(p)] : [])]
  const above = [bySender(p), ...within(p, 'aboveWatermark', variant), ...rowConditions]
  return senderWhere(p, within(p, 'sender_messages', variant), rowConditions).unionAll(
    aboveWatermarkWhere(p, above),
  )
}

/** By the trigram index up to the watermark, and the messages above it. */
function ofMatches(p: SearchPlaceholders, variant: PageVariant, from: boolean): PositionQuery {
  const parties = [...(from ? [bySender(p)] : []), ...toRecipient(p, variant)]
  const above = [...parties, contains(p), ...within(p, 'aboveWatermark', variant)]
  return matchesWhere(p, [...parties, ...within(p, 'messages', variant)]).unionAll(
    aboveWatermarkWhere(p, above),
  )
}

/** The page in every variant, and the count without and with the recipient filter. */
function statementsFor<Parameters extends PageParameters>(
  positions: (p: Placeholders<Parameters>, variant: PageVariant) => PositionQuery,
) {
  const count = (to: boolean) =>
    compile((p: Placeholders<Parameters>) =>
      countOf(positions(p, { order: 'asc', after: false, to })),
    )
  return {
    pages: mapVariants((variant) =>
      compile((p: Placeholders<Parameters>) => pageOf(p, positions(p, variant), variant)),
    ),
    counts: { all: count(false), to: count(true) },
  }
}

/** The statements of the access paths that read keys or texts in the order of pages. */
export const orderedQueries = {
  instant: statementsFor((p: PagePlaceholders, variant) => byInstant(p, variant, false)),
  instantText: statementsFor((p: PagePlaceholders, variant) => byInstant(p, variant, true)),
  sender: statementsFor((p: PagePlaceholders, variant) => ofSender(p, variant, false)),
  senderText: statementsFor((p: PagePlaceholders, variant) => ofSender(p, variant, true)),
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
