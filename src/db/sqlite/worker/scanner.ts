import type { MessageFilter } from '../../../message/filter.ts'
import type { MessageWithDetails } from '../../../message/message.ts'
import { openSnapshot } from '../connection.ts'
import { filterParameters } from '../filter-parameters.ts'
import type { ScanParameters } from '../queries/scan.ts'
import { type CompiledStatement, prepare } from '../statement.ts'
import { serveRpc, type WorkerContext } from './runtime.ts'

/** A message with its position in the order of arrival. */
export type ScannedRow = MessageWithDetails & { seq: number }

/** The data of a scanner thread, which serves a single scan. */
export interface ScannerData {
  path: string
  filter: MessageFilter
  query: CompiledStatement<ScanParameters, ScannedRow>
}

/** Rows in one chunk. */
const CHUNK = 1000

async function openOperations({ data, throwIfCancelled }: WorkerContext<ScannerData>) {
  const { path, filter, query } = data
  const database = openSnapshot(path, throwIfCancelled)
  const rows = prepare(database, query)
  const values = { ...filterParameters(filter), limit: CHUNK }

  const operations = {
    /** Returns the messages after a `seq`; none at the end. */
    next: (after: number): ScannedRow[] => rows.all({ ...values, after }),
    close(): void {
      database.close()
    },
  }
  return { operations, ready: undefined }
}

/** The operations of a scanner thread. */
export type ScannerOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveRpc(openOperations)
