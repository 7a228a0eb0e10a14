import {
  type Expression,
  type RawBuilder,
  type SelectQueryBuilder,
  type SqlBool,
  sql,
} from 'kysely'
import type { StoredMessage } from '../../../message/message.ts'
import { PAGE_COLUMNS } from '../../page.ts'
import type { SqliteSchema } from '../schema.ts'
import { type CompiledStatement, PAGE_VARIANTS, type PageVariant } from '../statement.ts'
import { build, compile, parameter } from './compile.ts'

/** The tables, and the parts of the trigram index that a search reads: rowids, both inclusive. */
interface SearchSchema extends SqliteSchema {
  ranges: { first: number; last: number }
}

/** What a page is found by before its rows are read. */
type KeyQuery = SelectQueryBuilder<
  SearchSchema,
  keyof SearchSchema,
  { seq: number; ts_key: string; message_id: string }
>

type Condition = Expression<SqlBool>

/** The message's text has the folded needle; throws when the read is to be cut off. */
export const contains: Condition = sql<boolean>`contains_folded(${sql.ref('messages.text')}, ${parameter('q')})`

/** Always true; throws when the read is to be cut off. */
export const alive: Condition = sql<boolean>`alive()`

/** What was committed after the derived tables were brought up to date. */
const beyond: Condition = sql<boolean>`${sql.ref('messages.seq')} > ${parameter('watermark')}`

/** The message is of the sender in question. */
export const bySender: Condition = sql<boolean>`${sql.ref('messages.from_msisdn')} = ${parameter('from')}`

/** The message is for the recipient in question. */
export const byRecipient: Condition = sql<boolean>`${sql.ref('messages.to_msisdn')} = ${parameter('to')}`

/** The recipient filter, which no index serves: it reads rows, so it checks for cancellation at each. */
function toRecipient({ to }: Pick<PageVariant, 'to'>): Condition[] {
  return to ? [alive, byRecipient] : []
}

/**
 * The sort key in a table. Beyond the watermark the few rows are met by their place, which the plus makes sure of:
 * with it, SQLite leaves the index of instants alone.
 */
const KEYS = {
  messages: sql.ref('messages.ts_key'),
  sender_messages: sql.ref('sender_messages.ts_key'),
  beyond: sql`+${sql.ref('messages.ts_key')}`,
}

/** The range of instants, `until` left out, and where a page goes on; open ends hold the ends of all keys. */
function within(where: keyof typeof KEYS, { order, after }: PageVariant): Condition[] {
  const key = KEYS[where]
  const range = [
    sql<boolean>`${key} >= ${parameter('since')}`,
    sql<boolean>`${key} < ${parameter('until')}`,
  ]
  if (!after) return range
  const id = sql.ref(
    where === 'sender_messages' ? 'sender_messages.message_id' : 'messages.message_id',
  )
  const compared: RawBuilder<unknown> = order === 'asc' ? sql`>` : sql`<`
  return [
    ...range,
    sql<boolean>`(${key}, ${id}) ${compared} (${parameter('afterKey')}, ${parameter('afterId')})`,
  ]
}

/** Messages by the index of instants, restricted to the conditions. */
function messagesWhere(conditions: Condition[]) {
  return build
    .selectFrom('messages')
    .select(['messages.seq', 'messages.ts_key', 'messages.message_id'])
    .where((eb) => eb.and(conditions))
}

/** Messages beyond the watermark, met by their place and sorted afterwards. */
function beyondWhere(conditions: Condition[]) {
  return build
    .selectFrom('messages')
    .select((eb) => [
      'messages.seq',
      sql<string>`+${eb.ref('messages.ts_key')}`.as('ts_key'),
      sql<string>`+${eb.ref('messages.message_id')}`.as('message_id'),
    ])
    .where((eb) => eb.and([beyond, ...conditions]))
}

/** One sender's messages up to the watermark; their rows are read only for conditions on their other columns. */
function senderWhere(conditions: Condition[], onRows: Condition[]) {
  const own = build
    .selectFrom('sender_messages')
    .select(['sender_messages.seq', 'sender_messages.ts_key', 'sender_messages.message_id'])
    .where('sender_messages.sender', '=', parameter<number>('sender'))
    .where((eb) => eb.and(conditions))
  // A cross join, which SQLite never turns round.
  return onRows.length > 0
    ? own
        .crossJoin('messages')
        .whereRef('messages.seq', '=', 'sender_messages.seq')
        .where((eb) => eb.and(onRows))
    : own
}

const RANGES = sql<SearchSchema['ranges']>`(
  select value ->> 0 as first, value ->> 1 as last from json_each(${parameter('ranges')}))`

/**
 * Rows of the index that the phrase matches, in the ranges that `prepareMatchRanges` returns: FTS5 calls no function
 * for rows that it compares and drops, so that each range bounds the work between two cancellation checks.
 */
function phraseWhere() {
  return build
    .selectFrom(RANGES.as('ranges'))
    .crossJoin('trigrams')
    .where(sql<boolean>`${sql.ref('trigrams')} match ${parameter('phrase')}`)
    .whereRef('trigrams.rowid', '>=', 'ranges.first')
    .whereRef('trigrams.rowid', '<=', 'ranges.last')
    .where((eb) => eb.and([alive]))
}

/** Up to the watermark, the messages whose texts have the needle. */
function matchesWhere(conditions: Condition[]) {
  // A phrase of trigrams is exactly a substring, but only of the beginning of a long needle.
  const exact = sql<boolean>`(${parameter('exact')} or ${contains})`
  return phraseWhere()
    .crossJoin('messages')
    .select(['messages.seq', 'messages.ts_key', 'messages.message_id'])
    .whereRef('messages.seq', '=', 'trigrams.rowid')
    .where((eb) => eb.and([exact, ...conditions]))
}

/** A page of what the keys name: it is found over keys alone, so that skipping an offset reads no row. */
function pageOf(
  keys: KeyQuery,
  { order }: PageVariant,
): CompiledStatement<StoredMessage & { ts_key: string }> {
  const page = keys
    .orderBy('ts_key', order)
    .orderBy('message_id', order)
    .limit(parameter<number>('limit'))
    .offset(parameter<number>('offset'))
  return compile(
    build
      .selectFrom(page.as('page'))
      .innerJoin('messages', 'messages.seq', 'page.seq')
      .select(PAGE_COLUMNS)
      .orderBy('page.ts_key', order)
      .orderBy('page.message_id', order),
  )
}

function countOf(keys: KeyQuery): CompiledStatement<{ count: number }> {
  return compile(
    build.selectFrom(keys.as('keys')).select((eb) => eb.fn.countAll<number>().as('count')),
  )
}

/** By the index of instants, which holds every message. */
function byInstant(variant: PageVariant, q: boolean): KeyQuery {
  return messagesWhere([
    ...within('messages', variant),
    ...toRecipient(variant),
    ...(q ? [contains] : []),
  ])
}

/** By sender: the derived pages, and what lies beyond the watermark. */
function ofSender(variant: PageVariant, q: boolean): KeyQuery {
  const onRows = [...toRecipient(variant), ...(q ? [contains] : [])]
  const rest = [bySender, ...within('beyond', variant), ...onRows]
  return senderWhere(within('sender_messages', variant), onRows).unionAll(beyondWhere(rest))
}

/** By the trigrams of a needle, and what lies beyond the watermark. */
function ofMatches(variant: PageVariant, from: boolean): KeyQuery {
  const parties = [...(from ? [bySender] : []), ...toRecipient(variant)]
  const rest = [...parties, contains, ...within('beyond', variant)]
  return matchesWhere([...parties, ...within('messages', variant)]).unionAll(beyondWhere(rest))
}

/** A count with and without the recipient filter, in that order of `to`: false, true. */
function countsOf(keysOf: (variant: PageVariant) => KeyQuery) {
  return [false, true].map((to) => countOf(keysOf({ order: 'asc', after: false, to })))
}

/** Pages by what they are driven by, and by the place of their variant. */
export const pageQueries = {
  instant: PAGE_VARIANTS.map((variant) => pageOf(byInstant(variant, false), variant)),
  instantText: PAGE_VARIANTS.map((variant) => pageOf(byInstant(variant, true), variant)),
  sender: PAGE_VARIANTS.map((variant) => pageOf(ofSender(variant, false), variant)),
  senderText: PAGE_VARIANTS.map((variant) => pageOf(ofSender(variant, true), variant)),
  matches: PAGE_VARIANTS.map((variant) => pageOf(ofMatches(variant, false), variant)),
  matchesSender: PAGE_VARIANTS.map((variant) => pageOf(ofMatches(variant, true), variant)),
}

/** How many messages match, by what the count is driven by, without and with the recipient filter. */
export const drivenCounts = {
  instant: countsOf((variant) => byInstant(variant, false)),
  instantText: countsOf((variant) => byInstant(variant, true)),
  sender: countsOf((variant) => ofSender(variant, false)),
  senderText: countsOf((variant) => ofSender(variant, true)),
  matches: countsOf((variant) => ofMatches(variant, false)),
  matchesSender: countsOf((variant) => ofMatches(variant, true)),
}

/** How many messages match a search alone. */
export const matchCounts = {
  /** All matches up to the watermark, from the index alone. */
  phrase: compile(phraseWhere().select((eb) => eb.fn.countAll<number>().as('count'))),
  /** What of the rows beyond the watermark has the needle. */
  beyondText: countOf(beyondWhere([contains])),
}
