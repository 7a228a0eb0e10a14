import type { MessageFilter } from '../../../message/filter.ts'
import type { StoredMessage } from '../../../message/message.ts'
import { StoreOpenError } from '../../message-store.ts'
import { scanQuery } from '../queries/scan.ts'
import { WorkerClient } from '../worker/client.ts'
import type { ScannerData, ScannerOperations } from '../worker/scanner.ts'

/** Before every place in the order of arrival; adopted rows keep theirs, which may be anything. */
const BEFORE_ALL = Number.MIN_SAFE_INTEGER

/**
 * What a filter matches in a file, in order of arrival, from one snapshot: a thread and a connection of its own, which
 * only read, so that a file in use can be scanned without its store. While it lasts, the write-ahead log grows.
 */
export class SqliteScan implements AsyncIterable<StoredMessage[]> {
  readonly #path: string
  readonly #thread: WorkerClient<ScannerOperations, ScannerData, undefined>

  constructor(path: string, filter: MessageFilter) {
    this.#path = path
    this.#thread = new WorkerClient({
      entry: new URL('../worker/scanner.ts', import.meta.url),
      data: () => ({ path, filter, query: scanQuery(filter) }),
    })
  }

  /** A few at a time; the snapshot is taken when the first are asked for. @throws StoreOpenError */
  async *[Symbol.asyncIterator](): AsyncGenerator<StoredMessage[], void> {
    try {
      await this.#thread.start().catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error)
        throw new StoreOpenError(`cannot read ${JSON.stringify(this.#path)}: ${reason}`, {
          cause: error,
        })
      })
      let after = BEFORE_ALL
      for (;;) {
        const rows = await this.#thread.call('next', after)
        const last = rows.at(-1)
        if (!last) return
        after = last.seq
        yield rows.map(({ seq: _seq, ...message }) => message)
      }
    } finally {
      await this.close()
    }
  }

  /** Ends it before its end; who waits for more is told that it was cut off. */
  close(): Promise<void> {
    return this.#thread.close()
  }
}
