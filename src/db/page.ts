import { DETAIL_COLUMNS, MESSAGE_COLUMNS } from '../message/columns.ts'
import type { MessageDetails, StoredMessage } from '../message/message.ts'
import type { KeyRange } from './key-range.ts'
import type { MessagePage, PageQuery } from './message-store.ts'

/** The columns of a page; qualified, because the subquery that finds the page has some of them, too. */
export const PAGE_COLUMNS = [
  ...MESSAGE_COLUMNS.map((column) => `messages.${column}` as const),
  'messages.ts_key',
] as const

/** The columns of the details of a message, qualified as well. */
export const PAGE_DETAIL_COLUMNS = DETAIL_COLUMNS.map((column) => `messages.${column}` as const)

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

/** A message of a page with its sort key, and with its details if they are wanted. */
export type PageRow = StoredMessage & Partial<MessageDetails> & { ts_key: string }

/**
 * Characters of texts and payloads, or bytes in PostgreSQL, after which a page ends before its limit; it bounds the
 * memory of a response. No page of messages of `/webhook` is that large.
 */
export const MAX_PAGE_SIZE = 8 * 1024 * 1024

/**
 * Builds a page from up to `limit + 1` rows, of which it takes no more than it shows.
 * @param found number of rows that there are, if `rows` may lack the last ones; else a further row signals a next page.
 */
export function buildPage(
  rows: Iterable<PageRow>,
  { limit }: PageQuery,
  total: number | undefined,
  found = 0,
): MessagePage {
  const shown: PageRow[] = []
  let size = 0
  let hasMore = false
  for (const row of rows) {
    hasMore = shown.length === limit || size > MAX_PAGE_SIZE
    if (hasMore) break
    size += (row.text?.length ?? 0) + (row.payload?.length ?? 0)
    shown.push(row)
  }
  const last = shown.at(-1)
  return {
    data: shown.map(({ ts_key: _key, ...message }) => message),
    total,
    next:
      last && (hasMore || found > shown.length)
        ? { key: last.ts_key, id: last.message_id }
        : undefined,
  }
}
