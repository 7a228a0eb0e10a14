import { type FeedFilter, isRestrictive } from '../../message/filter.ts'
import { digestOf, type FeedCursor } from '../../schemas/feed-cursor.ts'
import { keyedDigest } from '../keyed-digest.ts'
import {
  FEED_WINDOW,
  type FeedMessage,
  type FeedPage,
  type FeedQuery,
  type StaleCursor,
} from '../message-store.ts'
import { MAX_PAGE_SIZE } from '../page.ts'
import { filterParameters } from './filter-parameters.ts'
import type { feedQueries } from './queries/feed.ts'
import type { Prepared } from './statement.ts'

function cursorAfter({ seq, message_id }: { seq: number; message_id: string }): FeedCursor {
  return { position: [seq], digest: digestOf(message_id) }
}

/** Prepares the reads of the feed. The functions that it returns must run within a read transaction. */
export function prepareFeed(queries: Prepared<typeof feedQueries>) {
  function start(): FeedCursor {
    return { position: [queries.start.get()?.seq ?? 0] }
  }

  function isStale({ position, digest }: FeedCursor, first: FeedCursor): boolean {
    const [seq = 0, ...rest] = position
    if (rest.length > 0) return true
    if (seq === first.position[0]) return false
    const found = queries.idAt.get({ seq })
    if (found) return digestOf(found.message_id) !== digest
    const removed = queries.removedAt.get({ seq })
    return !removed || Buffer.compare(removed.digest, keyedDigest(removed.key, digest ?? '')) !== 0
  }

  function end(): FeedCursor {
    const newest = queries.newest.get()
    return newest ? cursorAfter(newest) : start()
  }

  function page({ filter, after, limit }: FeedQuery): FeedPage | StaleCursor {
    const first = start()
    return after && isStale(after, first) ? { oldest: first } : read(after ?? first, filter, limit)
  }

  function read(after: FeedCursor, filter: FeedFilter, limit: number): FeedPage {
    const newest = queries.newest.get()
    const [seq = 0] = after.position
    if (!newest || newest.seq <= seq) return { data: [], next: after, done: true }

    const restrictive = isRestrictive(filter)
    const window = restrictive ? FEED_WINDOW : limit
    const last = queries.windowEnd.get({ after: seq, skip: window - 1 }) ?? newest
    const range = { after: seq, last: last.seq }
    const rows = restrictive
      ? queries.matching.iterate({
          ...range,
          ...filterParameters(filter),
          from: filter.from ?? null,
        })
      : queries.all.iterate(range)
    const data: FeedMessage[] = []
    let size = 0
    for (const { seq, ...message } of rows) {
      data.push({ ...message, position: [seq] })
      size += (message.text?.length ?? 0) + (message.payload?.length ?? 0)
      if (data.length === limit || size > MAX_PAGE_SIZE) {
        return {
          data,
          next: cursorAfter({ seq, message_id: message.message_id }),
          done: seq === newest.seq,
        }
      }
    }
    return { data, next: cursorAfter(last), done: last.seq === newest.seq }
  }

  return { page, end }
}
