import type { MessageFilter } from '../../../message/filter.ts'
import type { StoredMessage } from '../../../message/message.ts'
import { openReader } from '../connection.ts'
import { filterValues } from '../paging.ts'
import { type CompiledStatement, prepare } from '../statement.ts'
import { serveRpc, type WorkerContext } from './runtime.ts'

/** A message, and its place in the order of arrival. */
export type ScannedRow = StoredMessage & { seq: number }

/** What a scanning thread is given: one scan is all it is for. */
export interface ScannerData {
  path: string
  filter: MessageFilter
  query: CompiledStatement<ScannedRow>
}

/** Rows that cross to the other side at a time. */
const CHUNK = 1000

async function openOperations({ data, throwIfCancelled }: WorkerContext<ScannerData>) {
  const { path, filter, query } = data
  const database = openReader(path, throwIfCancelled)
  const values = { ...filterValues(filter), limit: CHUNK }
  const rows = prepare(database, query)
  // One transaction for all chunks; its snapshot is the one of its first read, which is now.
  database.exec('begin')
  database.prepare('select 1 from messages limit 1').get()

  const operations = {
    /** The messages next to that place; none at the end. */
    next: (after: number): ScannedRow[] => rows.all({ ...values, after }),
    close(): void {
      database.close()
    },
  }
  return { operations, ready: undefined }
}

/** What a scanning thread can be asked for. */
export type ScannerOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveRpc(openOperations)
