import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import { fold } from '../fold.ts'
import type { KeyRange } from '../key-range.ts'
import type { MessageFilter } from '../store.ts'
import type { PostgresSchema } from './schema.ts'

/** A text that LIKE takes for the needle, literally and anywhere. */
function pattern(needle: string): string {
  return `%${needle.replaceAll(/[\\%_]/g, '\\$&')}%`
}

/** What a filter asks of a message, but for its range of instants. */
export function conditionsOf(
  eb: ExpressionBuilder<PostgresSchema, 'messages'>,
  { from, q }: MessageFilter,
): Expression<SqlBool>[] {
  const conditions: Expression<SqlBool>[] = []
  if (from !== undefined) conditions.push(eb('messages.from_msisdn', '=', from))
  const needle = fold(q ?? '')
  if (needle !== '') conditions.push(eb('messages.folded', 'like', pattern(needle)))
  return conditions
}

/** What a range asks of a message. */
export function withinRange(
  eb: ExpressionBuilder<PostgresSchema, 'messages'>,
  { since, until }: KeyRange,
): Expression<SqlBool>[] {
  return [eb('messages.ts_key', '>=', since), eb('messages.ts_key', '<', until)]
}
