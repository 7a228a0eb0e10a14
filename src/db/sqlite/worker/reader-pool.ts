import { StoreUnavailableError } from '../../message-store.ts'
import { WorkerClient } from './client.ts'
import type { ReaderData, ReaderOperations } from './reader.ts'

type Reader = WorkerClient<ReaderOperations, ReaderData, undefined>

/** A call that waits for a reader. */
interface WaitingCall {
  start: (reader: Reader) => void
  reject: (reason: unknown) => void
}

/** A pool of reader threads. Each executes one call at a time; further calls wait in order. */
export class ReaderPool {
  readonly #all: Reader[]
  #free: Reader[] = []
  #waiting: WaitingCall[] = []
  #closed = false

  constructor(data: ReaderData, count: number) {
    this.#all = Array.from(
      { length: count },
      (): Reader =>
        new WorkerClient({ entry: new URL('./reader.ts', import.meta.url), data: () => data }),
    )
  }

  /** Starts all readers. @throws StoreOpenError if one is unusable. */
  async start(): Promise<void> {
    await Promise.all(this.#all.map((reader) => reader.start()))
    this.#free = [...this.#all]
  }

  /**
   * Calls an operation of a reader.
   * @throws StoreUnavailableError if the signal is aborted while it waits or runs.
   */
  async call<Name extends keyof ReaderOperations & string>(
    operation: Name,
    argument: Parameters<ReaderOperations[Name]>[0],
    signal?: AbortSignal,
  ): Promise<ReturnType<ReaderOperations[Name]>> {
    const reader = this.#takeFree() ?? (await this.#nextFree(signal))
    try {
      return await reader.call(operation, argument, signal)
    } finally {
      const next = this.#waiting.shift()
      if (next) next.start(reader)
      else this.#free.push(reader)
    }
  }

  /** Returns a free reader, preferably one that is running. */
  #takeFree(): Reader | undefined {
    const running = this.#free.findLastIndex((reader) => reader.running)
    return this.#free.splice(running < 0 ? 0 : running, 1)[0]
  }

  #nextFree(signal: AbortSignal | undefined): Promise<Reader> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new StoreUnavailableError('the store is closed'))
        return
      }
      const waiting: WaitingCall = {
        start: (reader) => {
          signal?.removeEventListener('abort', leave)
          resolve(reader)
        },
        reject,
      }
      const leave = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting)
        reject(new StoreUnavailableError('the read was cancelled before it began'))
      }
      signal?.addEventListener('abort', leave, { once: true })
      this.#waiting.push(waiting)
    })
  }

  /** Closes all readers. Running reads are cancelled; waiting calls reject. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new StoreUnavailableError('the store is closed'))
    }
    await Promise.all(this.#all.map((reader) => reader.close()))
  }
}
