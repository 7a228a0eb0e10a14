import { MESSAGE_COLUMNS, type StoredMessage } from '../message/message.ts'
import type { KeyRange } from './key-range.ts'
import type { MessagePage, PageQuery } from './message-store.ts'

/** What a page reads of its messages once it has found them; named in full where what found them has it too. */
export const PAGE_COLUMNS = [
  ...MESSAGE_COLUMNS.map((column) => `messages.${column}` as const),
  'messages.ts_key',
] as const

/** An offset up to which rows are skipped one by one: cheaper than counting days. */
export const MAX_PLAIN_OFFSET = 200

/** A minute of a sort key, its messages, and how many lie before it in the order of keys. */
export interface Minute extends KeyRange {
  before: number
  count: number
}

/** How many messages lie before a range of keys, and how many in it. */
export interface RangeCounts {
  start: number
  inRange: number
}

/** The rank, in the order of keys, of the message that a page begins with. */
export function firstRank({ order, offset }: PageQuery, { start, inRange }: RangeCounts): number {
  return order === 'asc' ? start + offset : start + inRange - 1 - offset
}

/** The range and the offset that are left when all before the minute of the first message is skipped. */
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

/** A page of the rows that were found, among which one more than asked for tells that there is a next page. */
export function buildPage(
  found: (StoredMessage & { ts_key: string })[],
  { limit }: PageQuery,
  total: number,
): MessagePage {
  const shown = found.slice(0, limit)
  const last = shown.at(-1)
  return {
    data: shown.map(({ ts_key: _key, ...message }) => message),
    total,
    next: found.length > limit && last ? { key: last.ts_key, id: last.message_id } : undefined,
  }
}
