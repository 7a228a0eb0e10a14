import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import { sql } from 'kysely'
import { fold } from '../fold.ts'
import type { MessageFilter } from '../store.ts'
import type { PostgresSchema } from './schema.ts'

/** Before every key, also before the empty one of a message without an instant. */
export const FIRST_KEY = ''
/** Before every key of an instant, and after the empty one: keys begin with a digit. */
export const FIRST_INSTANT = '0'
/** After every key. */
export const AFTER_ALL = '~'

/** The keys that a filter lets through: from the first to before the second. */
export interface KeyRange {
  since: string
  until: string
  /** Whether there are keys that it keeps out. */
  restricted: boolean
}

/** The range of a filter; what has no instant is in no range that is restricted. */
export function rangeOf({ since, until }: MessageFilter): KeyRange {
  const restricted = since !== undefined || until !== undefined
  return {
    since: since ?? (restricted ? FIRST_INSTANT : FIRST_KEY),
    until: until ?? AFTER_ALL,
    restricted,
  }
}

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
  { since, until, restricted }: KeyRange,
): Expression<SqlBool>[] {
  if (!restricted) return [sql<boolean>`true`]
  return [eb('messages.ts_key', '>=', since), eb('messages.ts_key', '<', until)]
}
