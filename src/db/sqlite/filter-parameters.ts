import type { MessageFilter, UnindexedField } from '../../message/filter.ts'
import { fold } from '../../message/fold.ts'
import { rangeOf } from '../key-range.ts'

/** The parameters of the conditions of a filter. */
export type FilterParameters = Record<Exclude<keyof MessageFilter, UnindexedField>, string> &
  Record<UnindexedField, string | null>

/**
 * Returns the values of the conditions of a filter, for pages and scans.
 * An absent `from` or `q` is the empty string: statements without that condition do not use it.
 */
export function filterParameters(filter: MessageFilter): FilterParameters {
  return {
    from: filter.from ?? '',
    to: filter.to ?? null,
    source: filter.source ?? null,
    type: filter.type ?? null,
    ...rangeOf(filter),
    q: fold(filter.q ?? ''),
  }
}
