import {
  fromDetailedRow,
  fromRejectedRow,
  type NewRejectedBody,
  type RejectedBodiesQuery,
  type RejectedBodyStore,
  toRejectedRow,
} from '../rejected-bodies.ts'
import type { StoreGuard } from './store-guard.ts'
import type { WorkerClient } from './worker/client.ts'
import type { ReaderPool } from './worker/reader-pool.ts'
import type { WriterOperations } from './worker/writer.ts'
import type { WriterData, WriterReady } from './worker/writer-data.ts'

/** The rejected bodies of a store in a SQLite file. */
export class SqliteRejectedBodies implements RejectedBodyStore {
  readonly #guard: StoreGuard
  readonly #writer: WorkerClient<WriterOperations, WriterData, WriterReady>
  readonly #readers: ReaderPool

  constructor(
    guard: StoreGuard,
    writer: WorkerClient<WriterOperations, WriterData, WriterReady>,
    readers: ReaderPool,
  ) {
    this.#guard = guard
    this.#writer = writer
    this.#readers = readers
  }

  keep(bodies: readonly NewRejectedBody[], limit: number): Promise<void> {
    const batch = { rows: bodies.map(toRejectedRow), limit }
    return this.#guard.run(() => this.#writer.call('keepRejected', batch))
  }

  async list(
    { before = Number.MAX_SAFE_INTEGER, limit }: RejectedBodiesQuery,
    signal?: AbortSignal,
  ) {
    const rows = await this.#guard.run(() =>
      this.#readers.call('rejectedBodies', { before, limit }, signal),
    )
    return rows.map(fromRejectedRow)
  }

  async find(id: number, signal?: AbortSignal) {
    const row = await this.#guard.run(() => this.#readers.call('rejectedBody', id, signal))
    return row && fromDetailedRow(row)
  }

  remove(id: number): Promise<void> {
    return this.#guard.run(() => this.#writer.call('removeRejected', id))
  }
}
