import type { Static } from '@sinclair/typebox'
import {
  type Expression,
  type RawBuilder,
  type SelectQueryBuilder,
  type SqlBool,
  sql,
} from 'kysely'
import type { StoredMessage } from '../../../schemas/messages.ts'
import { PAGE_COLUMNS } from '../../page-layout.ts'
import type { SqliteSchema } from '../schema.ts'
import { type CompiledStatement, PAGE_SHAPES, type PageShape } from '../statement.ts'
import { build, compile, slot } from './compile.ts'

/** What a page is found by before its rows are read. */
type KeyQuery = SelectQueryBuilder<
  SqliteSchema,
  keyof SqliteSchema,
  { seq: number; ts_key: string; message_id: string }
>

type Condition = Expression<SqlBool>

/** The message's text has the folded needle; throws when the read is to be cut off. */
export const contains: Condition = sql<boolean>`contains_folded(${sql.ref('messages.text')}, ${slot('q')})`

/** Always true; throws when the read is to be cut off. */
export const alive: Condition = sql<boolean>`alive()`

/** What was committed after the derived tables were brought up to date. */
const beyond: Condition = sql<boolean>`${sql.ref('messages.seq')} > ${slot('watermark')}`

/** The message is of the sender in question. */
export const bySender: Condition = sql<boolean>`${sql.ref('messages.from_msisdn')} = ${slot('from')}`

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
function within(where: keyof typeof KEYS, { order, after }: PageShape): Condition[] {
  const key = KEYS[where]
  const range = [sql<boolean>`${key} >= ${slot('since')}`, sql<boolean>`${key} < ${slot('until')}`]
  if (!after) return range
  const id = sql.ref(
    where === 'sender_messages' ? 'sender_messages.message_id' : 'messages.message_id',
  )
  const compared: RawBuilder<unknown> = order === 'asc' ? sql`>` : sql`<`
  return [
    ...range,
    sql<boolean>`(${key}, ${id}) ${compared} (${slot('afterKey')}, ${slot('afterId')})`,
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

/** One sender's messages up to the watermark; their rows are read only for their texts. */
function senderWhere(conditions: Condition[], q: boolean) {
  const own = build
    .selectFrom('sender_messages')
    .select(['sender_messages.seq', 'sender_messages.ts_key', 'sender_messages.message_id'])
    .where('sender_messages.sender', '=', slot<number>('sender'))
    .where((eb) => eb.and(conditions))
  // A cross join, which SQLite never turns round.
  return q
    ? own
        .crossJoin('messages')
        .whereRef('messages.seq', '=', 'sender_messages.seq')
        .where((eb) => eb.and([contains]))
    : own
}

/** Up to the watermark, the messages whose texts have the needle: a phrase of trigrams is exactly a substring. */
function matchesWhere(conditions: Condition[]) {
  return build
    .selectFrom('trigrams')
    .crossJoin('messages')
    .select(['messages.seq', 'messages.ts_key', 'messages.message_id'])
    .where(sql<boolean>`${sql.ref('trigrams')} match ${slot('phrase')}`)
    .whereRef('messages.seq', '=', 'trigrams.rowid')
    .where((eb) => eb.and([alive, ...conditions]))
}

/** A page of what the keys name: it is found over keys alone, so that skipping an offset reads no row. */
function pageOf(
  keys: KeyQuery,
  { order }: PageShape,
): CompiledStatement<Static<typeof StoredMessage> & { ts_key: string }> {
  const page = keys
    .orderBy('ts_key', order)
    .orderBy('message_id', order)
    .limit(slot<number>('limit'))
    .offset(slot<number>('offset'))
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
function byInstant(shape: PageShape, q: boolean): KeyQuery {
  return messagesWhere([...within('messages', shape), ...(q ? [contains] : [])])
}

/** By sender: the derived pages, and what lies beyond the watermark. */
function ofSender(shape: PageShape, q: boolean): KeyQuery {
  const rest = [bySender, ...within('beyond', shape), ...(q ? [contains] : [])]
  return senderWhere(within('sender_messages', shape), q).unionAll(beyondWhere(rest))
}

/** By the trigrams of a needle, and what lies beyond the watermark. */
function ofMatches(shape: PageShape, from: boolean): KeyQuery {
  const sender = from ? [bySender] : []
  const rest = [contains, ...sender, ...within('beyond', shape)]
  return matchesWhere([...sender, ...within('messages', shape)]).unionAll(beyondWhere(rest))
}

const WHOLE: PageShape = { order: 'asc', after: false }

/** Pages by what they are driven by, and by the place of their shape. */
export const pageQueries = {
  instant: PAGE_SHAPES.map((shape) => pageOf(byInstant(shape, false), shape)),
  instantText: PAGE_SHAPES.map((shape) => pageOf(byInstant(shape, true), shape)),
  sender: PAGE_SHAPES.map((shape) => pageOf(ofSender(shape, false), shape)),
  senderText: PAGE_SHAPES.map((shape) => pageOf(ofSender(shape, true), shape)),
  matches: PAGE_SHAPES.map((shape) => pageOf(ofMatches(shape, false), shape)),
  matchesSender: PAGE_SHAPES.map((shape) => pageOf(ofMatches(shape, true), shape)),
}

/** How many messages match, by what the count is driven by. */
export const matchCounts = {
  instantText: countOf(byInstant(WHOLE, true)),
  sender: countOf(ofSender(WHOLE, false)),
  senderText: countOf(ofSender(WHOLE, true)),
  matches: countOf(ofMatches(WHOLE, false)),
  matchesSender: countOf(ofMatches(WHOLE, true)),
  /** All matches up to the watermark, from the index alone. */
  phrase: compile(
    build
      .selectFrom('trigrams')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where(sql<boolean>`${sql.ref('trigrams')} match ${slot('phrase')}`)
      .where((eb) => eb.and([alive])),
  ),
  /** What of the rows beyond the watermark has the needle. */
  beyondText: countOf(beyondWhere([contains])),
}
