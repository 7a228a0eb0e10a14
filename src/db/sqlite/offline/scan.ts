import type { MessageFilter } from '../../../message/filter.ts'
import type { MessageWithDetails } from '../../../message/message.ts'
import { openError } from '../errors.ts'
import { scanQuery } from '../queries/scan.ts'
import { WorkerClient } from '../worker/client.ts'
import type { ScannerData, ScannerOperations } from '../worker/scanner.ts'

/** Less than any `seq`. Adopted rows keep theirs, which may be negative. */
const BEFORE_ALL = Number.MIN_SAFE_INTEGER

/**
 * Yields the messages in a file that match a filter, in chunks and in order of arrival.
 * All are of one snapshot, which is taken when the first chunk is requested. A worker thread reads them on a connection
 * of its own, so the file may be in use.
 *
 * To stop early, `break` or call `return()`: the snapshot stays open until then, and the write-ahead log grows.
 * @throws StoreOpenError when the file cannot be read.
 */
export async function* scan(
  path: string,
  filter: MessageFilter,
): AsyncGenerator<MessageWithDetails[], void> {
  const worker = new WorkerClient<ScannerOperations, ScannerData, undefined>({
    entry: new URL('../worker/scanner.ts', import.meta.url),
    data: () => ({ path, filter, query: scanQuery(filter) }),
  })
  try {
    await worker.start().catch((error: unknown) => {
      throw openError(`read ${JSON.stringify(path)}`, error)
    })
    let after = BEFORE_ALL
    for (;;) {
      const rows = await worker.call('next', after)
      const last = rows.at(-1)
      if (!last) return
      after = last.seq
      yield rows.map(({ seq: _seq, ...message }) => message)
    }
  } finally {
    await worker.close()
  }
}
