import { StoreUnavailableError } from '../../message-store.ts'
import { WorkerClient } from './client.ts'
import type { ReaderData, ReaderOperations } from './reader.ts'

type Reader = WorkerClient<ReaderOperations, ReaderData, undefined>

interface Waiting {
  start: (reader: Reader) => void
  reject: (reason: unknown) => void
}

/** Threads that read, one call each at a time; who finds none free waits for the next. */
export class ReaderPool {
  readonly #all: Reader[]
  #free: Reader[] = []
  #waiting: Waiting[] = []
  #closed = false

  constructor(data: ReaderData, count: number) {
    this.#all = Array.from(
      { length: count },
      (): Reader =>
        new WorkerClient({ entry: new URL('./reader.ts', import.meta.url), data: () => data }),
    )
  }

  /** Starts every reader. @throws StoreOpenError when one cannot work. */
  async start(): Promise<void> {
    await Promise.all(this.#all.map((reader) => reader.start()))
    this.#free = [...this.#all]
  }

  /** Asks a reader. @throws StoreUnavailableError when the signal cuts the call off, before or during it. */
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

  /** A free reader; one that is being replaced only where there is no other. */
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
      const waiting: Waiting = {
        start: (reader) => {
          signal?.removeEventListener('abort', leave)
          resolve(reader)
        },
        reject,
      }
      const leave = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting)
        reject(new StoreUnavailableError('the read was cut off before it began'))
      }
      signal?.addEventListener('abort', leave, { once: true })
      this.#waiting.push(waiting)
    })
  }

  /** Ends every reader; what is under way is cut off, what waits is refused. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new StoreUnavailableError('the store is closed'))
    }
    await Promise.all(this.#all.map((reader) => reader.close()))
  }
}
