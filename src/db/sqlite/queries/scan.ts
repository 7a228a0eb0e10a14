import { ALL_COLUMNS } from '../../../message/columns.ts'
import { isUnindexed, type MessageFilter } from '../../../message/filter.ts'
import type { FilterParameters } from '../filter-parameters.ts'
import { build, compile, type Placeholders } from './compile.ts'
import {
  bySender,
  byUnindexed,
  type Condition,
  checkCancelled,
  contains,
  eb,
  unindexed,
} from './expressions.ts'

/** The parameters of a scan: `after` is the last `seq` that was read. */
export type ScanParameters = FilterParameters & { after: number; limit: number }

/** Compiles the query for the next messages in order of arrival that match a filter. */
export function scanQuery(filter: MessageFilter) {
  const { from, q } = filter
  return compile((p: Placeholders<ScanParameters>) => {
    // By `seq` only: an index on the sort keys would return rows in another order.
    const key = unindexed('messages.ts_key')
    const conditions: Condition[] = [
      checkCancelled,
      // An absent bound has the first or the last possible key as its value.
      eb(key, '>=', p.since),
      eb(key, '<', p.until),
      ...(from === undefined ? [] : [bySender(p)]),
      ...(isUnindexed(filter) ? [byUnindexed(p)] : []),
      ...(q ? [contains(p)] : []),
    ]
    return build
      .selectFrom('messages')
      .select(['seq', ...ALL_COLUMNS])
      .where('seq', '>', p.after)
      .where(eb.and(conditions))
      .orderBy('seq')
      .limit(p.limit)
  })
}
