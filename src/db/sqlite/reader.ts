import { workerData } from 'node:worker_threads'
import type { Static } from '@sinclair/typebox'
import type { MessagesPage } from '../../schemas/messages.ts'
import type { Stats } from '../../schemas/stats.ts'
import { fold } from '../fold.ts'
import type { PageQuery } from '../store.ts'
import { openReader } from './connection.ts'
import type { readerQueries } from './queries.ts'
import { prepare, shapeOf } from './statement.ts'
import { serveCalls } from './thread-main.ts'

/** What a reading thread is given. */
export interface ReaderData {
  path: string
  /** Set to anything but 0, it cuts off the scan under way. */
  stop: Int32Array
  queries: typeof readerQueries
}

function openOperations({ path, stop, queries }: ReaderData) {
  const database = openReader(path, stop)
  const pages = queries.page.map((query) => prepare(database, query))
  const counts = queries.total.map((query) => prepare(database, query))
  const totals = prepare(database, queries.totals)
  const top = prepare(database, queries.top)
  const first = prepare(database, queries.first)
  const last = prepare(database, queries.last)

  /** Runs the reads in one transaction, so that they all see the same snapshot. */
  const snapshot = <Result>(read: () => Result): Result => database.transaction(read).deferred()

  const operations = {
    page(query: PageQuery): Static<typeof MessagesPage> {
      const shape = shapeOf(query)
      const values = { ...query, q: query.q === undefined ? undefined : fold(query.q) }
      return snapshot(() => ({
        data: pages[shape]?.all(values) ?? [],
        total: counts[shape]?.get(values)?.count ?? 0,
        limit: query.limit,
        offset: query.offset,
      }))
    },

    stats(): Static<typeof Stats> {
      return snapshot(() => {
        const counted = totals.get()
        return {
          total_messages: counted?.messages ?? 0,
          senders_count: counted?.senders ?? 0,
          messages_per_sender: top.all(),
          first_message_ts: first.get()?.ts ?? null,
          last_message_ts: last.get()?.ts ?? null,
        }
      })
    },

    close(): void {
      database.close()
    },
  }
  return { operations, ready: undefined }
}

/** What a reading thread can be asked for. */
export type ReaderOperations = ReturnType<typeof openOperations>['operations']

await serveCalls(async () => openOperations(workerData as ReaderData))
