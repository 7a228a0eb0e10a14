import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import type { MessageFilter } from '../../../message/filter.ts'
import { fold } from '../../../message/fold.ts'
import type { KeyRange } from '../../key-range.ts'
import type { PostgresSchema } from '../schema.ts'
import { searchKey } from '../search-key.ts'

/** The expression that the index of texts is over. */
export const INDEXED_TEXT = sql<string>`coalesce(search_key, folded)`

const TRIGRAM = 3

/** A text that LIKE takes for the needle, literally and anywhere. */
function pattern(needle: string): string {
  return `%${needle.replaceAll(/[\\%_]/g, '\\$&')}%`
}

type Builder = ExpressionBuilder<PostgresSchema, 'messages'>

/** What a filter asks of a message, but for its range of instants, which `rangeConditions` adds. */
export function filterConditions(
  eb: Builder,
  { from, to, q }: MessageFilter,
): Expression<SqlBool>[] {
  const needle = fold(q ?? '')
  const conditions = {
    from: from === undefined ? undefined : eb('messages.from_msisdn', '=', from),
    to: to === undefined ? undefined : eb('messages.to_msisdn', '=', to),
    q: needle === '' ? undefined : eb('messages.folded', 'like', pattern(needle)),
  } satisfies Record<Exclude<keyof MessageFilter, keyof KeyRange>, Expression<SqlBool> | undefined>
  return Object.values(conditions).filter((condition) => condition !== undefined)
}

/** What every match of a filter's text meets, and what the index of texts can find. */
export function indexConditionsOf(
  eb: ExpressionBuilder<PostgresSchema, 'messages'>,
  { q }: MessageFilter,
): Expression<SqlBool>[] {
  const key = searchKey(fold(q ?? ''))
  // A shorter one has no trigram.
  return key.length < TRIGRAM ? [] : [eb(INDEXED_TEXT, 'like', pattern(key))]
}

/** What a range asks of a message. */
export function rangeConditions(eb: Builder, { since, until }: KeyRange): Expression<SqlBool>[] {
  return [eb('messages.ts_key', '>=', since), eb('messages.ts_key', '<', until)]
}
