import {
  type AliasableExpression,
  type Expression,
  type ExpressionBuilder,
  expressionBuilder,
  type RawBuilder,
  type SqlBool,
  sql,
} from 'kysely'
import type { UnindexedField } from '../../../message/filter.ts'
import type { FilterParameters } from '../filter-parameters.ts'
import { type SqliteSchema, VISIBLE_STATES } from '../schema.ts'
import type { Placeholders } from './compile.ts'

/** A condition on the rows that a query reads. */
export type Condition = Expression<SqlBool>

/** Builds expressions on the columns of any table; the query that uses them must read the table. */
export const eb: ExpressionBuilder<SqliteSchema, keyof SqliteSchema> = expressionBuilder()

/** The text of the message contains the folded needle. Throws if the read is cancelled. */
export function contains({ q }: Placeholders<{ q: string }>): Condition {
  return eb.fn<SqlBool>('contains_folded', ['messages.text', q])
}

/** Always true; throws if the read is cancelled. */
export const checkCancelled: Condition = eb.fn<SqlBool>('check_cancelled')

/** The message has this sender. */
export function bySender({ from }: Placeholders<{ from: string }>): Condition {
  return eb('messages.from_msisdn', '=', from)
}

/**
 * The message has the given recipient, source and type; null stands for any.
 * No index serves these conditions.
 */
export function byUnindexed(p: Placeholders<Pick<FilterParameters, UnindexedField>>): Condition {
  return eb.and([
    eb.or([eb(p.to, 'is', null), eb('messages.to_msisdn', '=', p.to)]),
    eb.or([eb(p.source, 'is', null), eb('messages.source', '=', p.source)]),
    eb.or([eb(p.type, 'is', null), eb('messages.type', '=', p.type)]),
  ])
}

/** The message is above the watermark: no counter or index covers it yet. */
export function aboveWatermark({ watermark }: Placeholders<{ watermark: number }>): Condition {
  return eb('messages.seq', '>', watermark)
}

/** The entries of the run are visible to reads. */
export const isVisible: Condition = eb('sender_runs.state', 'in', VISIBLE_STATES)

/**
 * The column as an expression for which SQLite uses no index.
 * https://sqlite.org/optoverview.html#uplus
 */
export function unindexed<Value = string>(column: string): RawBuilder<Value> {
  return sql<Value>`+${sql.ref(column)}`
}

/** The first characters of a message's sort key: the name of its UTC day or minute. */
export function bucketOf(length: number): AliasableExpression<string> {
  return eb.fn<string>('substr', ['messages.ts_key', eb.lit(1), eb.lit(length)])
}
