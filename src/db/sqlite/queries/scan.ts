import { MESSAGE_COLUMNS } from '../../../message/columns.ts'
import type { MessageFilter } from '../../../message/filter.ts'
import type { FilterParameters } from '../filter-parameters.ts'
import { build, compile, type Placeholders } from './compile.ts'
import {
  byRecipient,
  bySender,
  type Condition,
  checkCancelled,
  contains,
  eb,
  unindexed,
} from './expressions.ts'

/** The parameters of a scan: `after` is the last `seq` that was read. */
export type ScanParameters = FilterParameters & { after: number; limit: number }

/** Compiles the query for the next messages in order of arrival that match a filter. */
export function scanQuery({ from, to, q }: MessageFilter) {
  return compile((p: Placeholders<ScanParameters>) => {
    // By `seq` only: an index on the sort keys would return rows in another order.
    const key = unindexed('messages.ts_key')
    const conditions = {
      from: from === undefined ? undefined : bySender(p),
      to: to === undefined ? undefined : byRecipient(p),
      // An absent bound has the first or the last possible key as its value.
      since: eb(key, '>=', p.since),
      until: eb(key, '<', p.until),
      q: q ? contains(p) : undefined,
    } satisfies Record<keyof MessageFilter, Condition | undefined>
    const given = Object.values(conditions).filter((condition) => condition !== undefined)
    return build
      .selectFrom('messages')
      .select(['seq', ...MESSAGE_COLUMNS])
      .where('seq', '>', p.after)
      .where(eb.and([checkCancelled, ...given]))
      .orderBy('seq')
      .limit(p.limit)
  })
}
