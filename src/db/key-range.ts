import type { MessageFilter } from '../message/filter.ts'

/** Length of the prefix of a sort key that is its UTC day. */
export const DAY_LENGTH = 10

/** Length of the prefix of a sort key that is its UTC minute. */
export const MINUTE_LENGTH = 16

/** The least key: that of messages without an instant. */
const FIRST_KEY = ''

/** Greater than the empty key, and less than the key of every instant, which begins with a digit. */
const FIRST_INSTANT = '0'

/** Greater than every key. */
const AFTER_ALL = '~'

/** A range of sort keys. */
export interface KeyRange {
  /** Inclusive. */
  since: string
  /** Exclusive. */
  until: string
}

/** The range of all keys. */
export const ALL_KEYS: KeyRange = { since: FIRST_KEY, until: AFTER_ALL }

/** Whether the filter restricts the range of instants. */
export function isRestricted({ since, until }: MessageFilter): boolean {
  return since !== undefined || until !== undefined
}

/**
 * Returns the range of keys that match the filter.
 * It includes messages without an instant only if unrestricted.
 */
export function rangeOf(filter: MessageFilter): KeyRange {
  return {
    since: filter.since ?? (isRestricted(filter) ? FIRST_INSTANT : FIRST_KEY),
    until: filter.until ?? AFTER_ALL,
  }
}

/**
 * Returns the exclusive end of the keys that begin with a day or minute.
 * In a key these are followed by `:`, `T` or nothing, all of which are less than `~`.
 */
export function endOf(bucket: string): string {
  return bucket === '' ? FIRST_INSTANT : `${bucket}~`
}
