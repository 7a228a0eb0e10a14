import { MESSAGE_COLUMNS } from '../message/columns.ts'
import type { StoredMessage } from '../message/message.ts'
import type { KeyRange } from './key-range.ts'
import type { MessagePage, PageQuery } from './message-store.ts'

/** The columns of a page; qualified, because the subquery that finds the page has some of them, too. */
export const PAGE_COLUMNS = [
  ...MESSAGE_COLUMNS.map((column) => `messages.${column}` as const),
  'messages.ts_key',
] as const

/**
 * The largest offset that is skipped row by row.
 * Up to here that is cheaper than reading the counters of days.
 */
export const MAX_PLAIN_OFFSET = 200

/** The range of keys of one UTC minute. */
export interface Minute extends KeyRange {
  /** Number of messages before it in the order of keys. */
  before: number
  /** Number of its messages. */
  count: number
}

/** Counts of messages relative to a range of keys. */
export interface RangeCounts {
  /** Number of messages before the range. */
  start: number
  /** Number of messages in the range. */
  inRange: number
}

/** Returns the rank of the first message of a page, counted from 0 in the order of keys. */
export function firstRank({ order, offset }: PageQuery, { start, inRange }: RangeCounts): number {
  return order === 'asc' ? start + offset : start + inRange - 1 - offset
}

/** Narrows the range of a page to begin with the minute of its first message, and reduces the offset. */
export function skipToMinute(
  { order, offset }: PageQuery,
  { since, until }: KeyRange,
  { start, inRange }: RangeCounts,
  minute: Minute,
): KeyRange & { offset: number } {
  if (order === 'asc') {
    if (minute.before <= start) return { since, until, offset }
    return { since: minute.since, until, offset: start + offset - minute.before }
  }
  const end = minute.before + minute.count
  if (end >= start + inRange) return { since, until, offset }
  return { since, until: minute.until, offset: offset - (start + inRange - end) }
}

/** Builds a page from up to `limit + 1` rows; the extra row signals a next page. */
export function buildPage(
  rows: (StoredMessage & { ts_key: string })[],
  { limit }: PageQuery,
  total: number,
): MessagePage {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    data: shown.map(({ ts_key: _key, ...message }) => message),
    total,
    next: rows.length > limit && last ? { key: last.ts_key, id: last.message_id } : undefined,
  }
}
