import { type SelectQueryBuilder, type SqlBool, sql } from 'kysely'
import type { FilterParameters } from '../filter-parameters.ts'
import type { PageVariant } from '../page-variant.ts'
import type { SqliteSchema } from '../schema.ts'
import { build, type Placeholders } from './compile.ts'
import {
  aboveWatermark,
  bySender,
  byUnindexed,
  type Condition,
  checkCancelled,
  contains,
  eb,
  isVisible,
  unindexed,
} from './expressions.ts'

/** The parameters of a page. */
export type PageParameters = FilterParameters & {
  watermark: number
  /** The sender's `id` in `senders`; 0 if it has none. */
  sender: number
  /** The position that the page starts after. */
  afterKey: string
  afterId: string
  limit: number
  offset: number
}

/** The further parameter of a page by sender, with another value for each term of the compound select. */
export type RunParameters = { run: number }

/** The further parameters of a search of the trigram index. */
export type SearchParameters = {
  /** FTS5 query for the phrase. */
  phrase: string
  /** Whether every match of the phrase contains the needle. */
  exact: Extract<SqlBool, number>
  /** JSON array of the rowid ranges to search, `[first, last]` each, both inclusive. */
  ranges: string
}

/** The placeholders of a page. */
export type PagePlaceholders = Placeholders<PageParameters>
/** The placeholders of a page by a search of the trigram index. */
export type SearchPlaceholders = Placeholders<PageParameters & SearchParameters>

/** The tables, and the ranges of the trigram index that a search reads. */
interface SearchSchema extends SqliteSchema {
  ranges: { first: number; last: number }
}

/** A query for the positions of messages, before their other columns are read. */
export type PositionQuery = SelectQueryBuilder<
  SearchSchema,
  keyof SearchSchema,
  { seq: number; ts_key: string; message_id: string }
>

/** The filters that no index serves. They check for cancellation at every row that they read. */
function unindexedFilters(p: PagePlaceholders, { unindexed }: PageVariant): Condition[] {
  return unindexed ? [checkCancelled, byUnindexed(p)] : []
}

/** The sort keys and ids that the range of instants and the position of a page refer to. */
const POSITIONS = {
  messages: { key: eb.ref('messages.ts_key'), id: eb.ref('messages.message_id') },
  sender_entries: {
    key: eb.ref('sender_entries.ts_key'),
    id: eb.ref('sender_entries.message_id'),
  },
  // The few rows above the watermark are read by `seq`, not by the index of instants.
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
export function aboveWatermarkWhere(
  p: Placeholders<{ watermark: number }>,
  conditions: Condition[],
) {
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
 * The positions of one sender's messages in a run.
 * The messages themselves are read only if there are row conditions.
 */
function senderWhere(
  p: PagePlaceholders,
  isInRun: Condition,
  conditions: Condition[],
  rowConditions: Condition[],
) {
  const positions = build
    .selectFrom('sender_entries')
    .select(['sender_entries.seq', 'sender_entries.ts_key', 'sender_entries.message_id'])
    .where(isInRun)
    .where('sender_entries.sender', '=', p.sender)
    .where(eb.and(conditions))
  if (rowConditions.length === 0) return positions
  // SQLite never changes the order of a cross join.
  return positions
    .crossJoin('messages')
    .whereRef('messages.seq', '=', 'sender_entries.seq')
    .where(eb.and(rowConditions))
}

/**
 * Rows of the trigram index that match the phrase, in the ranges that `prepareMatchRanges` returns.
 * FTS5 calls no function for rows that it compares and drops, so each range bounds the work between two cancellation
 * checks.
 */
export function phraseWhere({ phrase, ranges }: Placeholders<SearchParameters>) {
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

/** Positions by the index of instants, which covers all messages. */
export function byInstant(p: PagePlaceholders, variant: PageVariant, q: boolean): PositionQuery {
  return messagesWhere([
    ...within(p, 'messages', variant),
    ...unindexedFilters(p, variant),
    ...(q ? [contains(p)] : []),
  ])
}

/** The positions of a sender's messages in runs, and with those above the watermark. */
export function ofSender(
  p: PagePlaceholders,
  variant: PageVariant,
  q: boolean,
  isInRun: Condition,
): { positions: PositionQuery; inRuns: PositionQuery } {
  const rowConditions = [...unindexedFilters(p, variant), ...(q ? [contains(p)] : [])]
  const above = [bySender(p), ...within(p, 'aboveWatermark', variant), ...rowConditions]
  const inRuns = senderWhere(p, isInRun, within(p, 'sender_entries', variant), rowConditions)
  return { positions: aboveWatermarkWhere(p, above).unionAll(inRuns), inRuns }
}

/** The entry is in one run. */
export function inRun({ run }: Placeholders<RunParameters>): Condition {
  return eb('sender_entries.run', '=', run)
}

/** The entry is in any visible run. */
export const inVisibleRun = eb(
  'sender_entries.run',
  'in',
  build.selectFrom('sender_runs').select('sender_runs.run').where(isVisible),
)

/** The positions of matches: up to the watermark by the trigram index, and above it. */
export function ofMatches(
  p: SearchPlaceholders,
  variant: PageVariant,
  from: boolean,
): PositionQuery {
  const parties = [...(from ? [bySender(p)] : []), ...unindexedFilters(p, variant)]
  const above = [...parties, contains(p), ...within(p, 'aboveWatermark', variant)]
  return matchesWhere(p, [...parties, ...within(p, 'messages', variant)]).unionAll(
    aboveWatermarkWhere(p, above),
  )
}
