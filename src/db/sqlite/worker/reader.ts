import { createHash } from 'node:crypto'
import { setPriority } from 'node:os'
import type { HashedPosition, PagePosition } from '../../../message/filter.ts'
import type { MessageWithDetails } from '../../../message/message.ts'
import type { FeedQuery, PageQuery, TimelineQuery } from '../../message-store.ts'
import type { SenderQuery } from '../../sender-query.ts'
import { openReader } from '../connection.ts'
import { prepareFeed } from '../feed.ts'
import { preparePaging } from '../paging.ts'
import type { readQueries } from '../queries/read.ts'
import { prepareSenders } from '../senders.ts'
import { prepareAll } from '../statement.ts'
import { prepareStats } from '../stats.ts'
import { prepareTimeline } from '../timeline.ts'
import { serveRpc, type WorkerContext } from './runtime.ts'

/** The data of a reader thread. */
export interface ReaderData {
  path: string
  queries: typeof readQueries
  /** The nice value of the thread, -20 (highest priority) to 19. */
  priority: number
}

async function openOperations({ data, throwIfCancelled }: WorkerContext<ReaderData>) {
  // On Linux this sets the nice value of the calling thread only.
  setPriority(0, data.priority)
  const database = openReader(data.path, throwIfCancelled)
  database.function('id_hash', { deterministic: true }, (id) => {
    throwIfCancelled()
    return createHash('sha256').update(String(id)).digest('hex')
  })
  const { queries } = data
  const counts = prepareAll(database, queries.counts)
  const page = preparePaging(database, queries.pages, counts)
  const stats = prepareStats(counts)
  const timelines = prepareAll(database, queries.timeline)
  const timeline = prepareTimeline(counts, timelines, throwIfCancelled)
  const senders = prepareSenders(counts, prepareAll(database, queries.senders), throwIfCancelled)
  const rejected = prepareAll(database, queries.rejected)
  const feed = prepareFeed(prepareAll(database, queries.feed))

  /** Runs reads in one transaction, so that all see the same snapshot. */
  const snapshot = <Result>(read: () => Result): Result => database.transaction(read).deferred()

  const operations = {
    page: (query: PageQuery) => snapshot(() => page(query)),
    findPosition: (position: HashedPosition): PagePosition | undefined =>
      counts.position.get(position),
    stats: () => snapshot(stats),
    timeline: (query: TimelineQuery) => snapshot(() => timeline(query)),
    senders: (query: SenderQuery) => snapshot(() => senders(query)),
    message: (id: string): MessageWithDetails | undefined => counts.message.get({ message_id: id }),
    feed: (query: FeedQuery) => snapshot(() => feed.page(query)),
    feedEnd: () => snapshot(feed.end),
    lastBackup: () => counts.lastBackup.get()?.at ?? null,
    rejectedBodies: (query: { before: number; limit: number }) => rejected.newest.all(query),
    rejectedBody: (id: number) => rejected.find.get({ id }),
    close(): void {
      database.close()
    },
  }
  return { operations, ready: undefined }
}

/** The operations of a reader thread. */
export type ReaderOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveRpc(openOperations)
