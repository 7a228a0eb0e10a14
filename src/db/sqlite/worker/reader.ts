import { createHash } from 'node:crypto'
import { setPriority } from 'node:os'
import type { HashedPosition, PagePosition } from '../../../message/filter.ts'
import type { StoredMessage } from '../../../message/message.ts'
import type { PageQuery } from '../../message-store.ts'
import { openReader } from '../connection.ts'
import { preparePaging } from '../paging.ts'
import type { PageQueries } from '../planner.ts'
import type { countQueries } from '../queries/count.ts'
import { prepareAll } from '../statement.ts'
import { prepareStats } from '../stats.ts'
import { serveRpc, type WorkerContext } from './runtime.ts'

/** The data of a reader thread. */
export interface ReaderData {
  path: string
  pages: PageQueries
  counts: typeof countQueries
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
  const counts = prepareAll(database, data.counts)
  const page = preparePaging(database, data.pages, counts)
  const stats = prepareStats(counts)

  /** Runs reads in one transaction, so that all see the same snapshot. */
  const snapshot = <Result>(read: () => Result): Result => database.transaction(read).deferred()

  const operations = {
    page: (query: PageQuery) => snapshot(() => page(query)),
    findPosition: (position: HashedPosition): PagePosition | undefined =>
      counts.position.get(position),
    stats: () => snapshot(stats),
    message: (id: string): StoredMessage | undefined => counts.message.get({ message_id: id }),
    close(): void {
      database.close()
    },
  }
  return { operations, ready: undefined }
}

/** The operations of a reader thread. */
export type ReaderOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveRpc(openOperations)
