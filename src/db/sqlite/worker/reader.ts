import { createHash } from 'node:crypto'
import { setPriority } from 'node:os'
import type { HashedPosition, PagePosition } from '../../../message/filter.ts'
import type { StoredMessage } from '../../../message/message.ts'
import type { PageQuery } from '../../message-store.ts'
import { openReader } from '../connection.ts'
import { type PageQueries, preparePaging } from '../paging.ts'
import type { countQueries } from '../queries/count.ts'
import { prepareAll } from '../statement.ts'
import { prepareStats } from '../stats.ts'
import { serveRpc, type WorkerContext } from './runtime.ts'

/** What a reading thread is given. */
export interface ReaderData {
  path: string
  queries: PageQueries & { counts: typeof countQueries }
  /** The priority of the thread, -20 (first) to 19 (last), as `nice` has it. */
  priority: number
}

async function openOperations({ data, throwIfCancelled }: WorkerContext<ReaderData>) {
  const { path, queries, priority } = data
  // On Linux it is the thread's own.
  setPriority(0, priority)
  const database = openReader(path, throwIfCancelled)
  database.function('id_hash', { deterministic: true }, (id) => {
    throwIfCancelled()
    return createHash('sha256').update(String(id)).digest('hex')
  })
  const count = prepareAll(database, queries.counts)
  const page = preparePaging(database, queries, count)
  const stats = prepareStats(count)

  /** Runs the reads in one transaction, so that they all see the same snapshot. */
  const snapshot = <Result>(read: () => Result): Result => database.transaction(read).deferred()

  const operations = {
    page: (query: PageQuery) => snapshot(() => page(query)),
    findPosition: (position: HashedPosition): PagePosition | undefined =>
      count.position.get({ ...position }),
    stats: () => snapshot(stats),
    message: (id: string): StoredMessage | undefined => count.message.get({ message_id: id }),
    close(): void {
      database.close()
    },
  }
  return { operations, ready: undefined }
}

/** What a reading thread can be asked for. */
export type ReaderOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveRpc(openOperations)
