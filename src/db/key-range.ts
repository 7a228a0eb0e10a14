import type { MessageFilter } from '../message/filter.ts'

/** Lengths of a sort key's beginning that name its UTC day and its UTC minute. */
export const DAY_LENGTH = 10
export const MINUTE_LENGTH = 16

/** Before every key, also before the empty one of a message without an instant. */
const FIRST_KEY = ''
/** Before every key of an instant, and after the empty one: keys begin with a digit. */
const FIRST_INSTANT = '0'
/** After every key. */
const AFTER_ALL = '~'

/** Sort keys from the first to before the second. */
export interface KeyRange {
  since: string
  until: string
}

/** Every key there may be. */
export const ALL_KEYS: KeyRange = { since: FIRST_KEY, until: AFTER_ALL }

/** Whether there are keys that the filter keeps out. */
export function isRestricted({ since, until }: MessageFilter): boolean {
  return since !== undefined || until !== undefined
}

/** The keys that a filter lets through; the one of a message without an instant only where it lets all through. */
export function rangeOf(filter: MessageFilter): KeyRange {
  return {
    since: filter.since ?? (isRestricted(filter) ? FIRST_INSTANT : FIRST_KEY),
    until: filter.until ?? AFTER_ALL,
  }
}

/**
 * The first key after all that begin with the name of this day or minute: what follows there is one of `:`, `T` and
 * the end.
 */
export function endOf(bucket: string): string {
  return bucket === '' ? FIRST_INSTANT : `${bucket}~`
}
