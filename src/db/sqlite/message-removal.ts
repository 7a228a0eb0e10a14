import { setTimeout as delay } from 'node:timers/promises'
import { StoreUnavailableError } from '../message-store.ts'
import type { Erasure, ExpiryStep, MessageRemoval, RemovalStep } from '../removal.ts'
import type { StoreGuard } from './store-guard.ts'
import type { WorkerClient } from './worker/client.ts'
import type { WriterOperations } from './worker/writer.ts'
import type { WriterData, WriterReady } from './worker/writer-data.ts'

/** Milliseconds that a purge waits for reads of the write-ahead log, such as an export. */
const LOG_TIMEOUT_MS = 60_000

/** Milliseconds between two attempts to empty the log. */
const BUSY_PAUSE_MS = 100

/** The removal of messages from a SQLite file, by its writer thread. */
export class SqliteMessageRemoval implements MessageRemoval {
  readonly #guard: StoreGuard
  readonly #writer: WorkerClient<WriterOperations, WriterData, WriterReady>

  constructor(guard: StoreGuard, writer: WorkerClient<WriterOperations, WriterData, WriterReady>) {
    this.#guard = guard
    this.#writer = writer
  }

  removeExpired(before: string): Promise<ExpiryStep> {
    return this.#guard.run(() => this.#writer.call('removeExpired', before))
  }

  erase(erasure: Erasure): Promise<RemovalStep> {
    return this.#guard.run(() => this.#writer.call('erase', erasure))
  }

  async purge(onStep?: () => void | Promise<void>): Promise<void> {
    let deadline = Number.POSITIVE_INFINITY
    for (;;) {
      const result = await this.#guard.run(() => this.#writer.call('purge', undefined))
      if (result === 'done') return
      if (result === 'busy') {
        deadline = Math.min(deadline, performance.now() + LOG_TIMEOUT_MS)
        if (performance.now() > deadline) {
          throw new StoreUnavailableError(
            'a read transaction still uses the write-ahead log; retry when it has ended',
          )
        }
        await delay(BUSY_PAUSE_MS)
      }
      await onStep?.()
    }
  }
}
