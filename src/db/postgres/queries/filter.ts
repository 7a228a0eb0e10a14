import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import type { MessageFilter } from '../../../message/filter.ts'
import { fold } from '../../../message/fold.ts'
import type { KeyRange } from '../../key-range.ts'
import type { PostgresSchema } from '../schema.ts'
import { searchKey } from '../search-key.ts'

/** Expression that the text index covers. */
export const INDEXED_TEXT = sql<string>`coalesce(search_key, folded)`

/** Characters of a trigram; shorter needles have none, so the index cannot serve them. */
const TRIGRAM = 3

/** Builder of conditions on `messages`. */
export type FilterBuilder = ExpressionBuilder<PostgresSchema, 'messages'>

/** Returns the LIKE pattern of all texts that contain the needle literally. */
function patternOf(needle: string): string {
  return `%${needle.replaceAll(/[\\%_]/g, '\\$&')}%`
}

/** Returns the conditions of a filter, except its range of instants. */
export function filterConditions(
  eb: FilterBuilder,
  { from, to, source, type, q }: MessageFilter,
): Expression<SqlBool>[] {
  const needle = fold(q ?? '')
  const conditions = {
    from: from === undefined ? undefined : eb('messages.from_msisdn', '=', from),
    to: to === undefined ? undefined : eb('messages.to_msisdn', '=', to),
    source: source === undefined ? undefined : eb('messages.source', '=', source),
    type: type === undefined ? undefined : eb('messages.type', '=', type),
    q: needle === '' ? undefined : eb('messages.folded', 'like', patternOf(needle)),
  } satisfies Record<Exclude<keyof MessageFilter, keyof KeyRange>, Expression<SqlBool> | undefined>
  return Object.values(conditions).filter((condition) => condition !== undefined)
}

/** Returns a condition on the text index that every match fulfils; none for short needles. */
export function indexConditions(eb: FilterBuilder, { q }: MessageFilter): Expression<SqlBool>[] {
  const key = searchKey(fold(q ?? ''))
  return key.length < TRIGRAM ? [] : [eb(INDEXED_TEXT, 'like', patternOf(key))]
}

/** Returns the conditions of a range of sort keys. */
export function rangeConditions(
  eb: FilterBuilder,
  { since, until }: KeyRange,
): Expression<SqlBool>[] {
  return [eb('messages.ts_key', '>=', since), eb('messages.ts_key', '<', until)]
}
