import { Worker } from 'node:worker_threads'
import { StoreOpenError, StoreUnavailableError } from '../store.ts'
import type { Operations, ThreadCall, ThreadFailure, ThreadMessage } from './thread-main.ts'

/** How long to wait before a thread that could not start is started again, in milliseconds. */
const RESTART_DELAY_MS = 1000

interface PendingCall {
  resolve: (value: unknown) => void
  reject: (reason: Error) => void
}

function revive(failure: ThreadFailure): Error {
  const error = failure.unavailable
    ? new StoreUnavailableError(failure.message)
    : new Error(failure.message)
  if (failure.stack) error.stack = failure.stack
  return error
}

/**
 * A worker thread that answers calls in order. One that dies is replaced; the calls that waited for it, and those
 * made until the next one is ready, fail as unavailable.
 */
export class SqliteThread<Ops extends Operations, Ready> {
  readonly #entry: URL
  readonly #workerData: (previous: Ready | undefined) => unknown
  readonly #pending = new Map<number, PendingCall>()
  #worker: Worker | undefined
  #ready: Ready | undefined
  #calls = 0
  #closing = false
  #restart: NodeJS.Timeout | undefined

  /**
   * @param entry the module that the thread runs.
   * @param workerData what the module is given, from what the thread before it said when it was ready.
   */
  constructor(entry: URL, workerData: (previous: Ready | undefined) => unknown) {
    this.#entry = entry
    this.#workerData = workerData
  }

  /** Starts the thread. @throws StoreOpenError with the thread's own reason when it cannot work. */
  start(): Promise<Ready> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(this.#entry, {
        workerData: this.#workerData(this.#ready),
        // What the process was told to load first is not for its threads.
        execArgv: [],
      })
      let failure: Error | undefined
      worker.on('message', (message: ThreadMessage) => {
        if (message.kind === 'ready') {
          this.#worker = worker
          this.#ready = message.value as Ready
          resolve(this.#ready)
        } else if (message.kind === 'unusable') {
          failure = new StoreOpenError(message.failure.message)
        } else {
          const waiting = this.#pending.get(message.call)
          this.#pending.delete(message.call)
          if (message.kind === 'result') waiting?.resolve(message.value)
          else waiting?.reject(revive(message.failure))
        }
      })
      worker.on('error', (error) => {
        failure = error instanceof Error ? error : new Error(String(error))
      })
      worker.on('exit', () => {
        const wasReady = this.#worker === worker
        this.#worker = undefined
        reject(failure ?? new StoreOpenError('the database thread ended before it was ready'))
        for (const { reject } of this.#pending.values()) {
          reject(new StoreUnavailableError('the database thread ended', { cause: failure }))
        }
        this.#pending.clear()
        if (wasReady && !this.#closing) this.#replace()
      })
    })
  }

  #replace(): void {
    this.start().catch(() => {
      if (!this.#closing) this.#restart = setTimeout(() => this.#replace(), RESTART_DELAY_MS)
    })
  }

  /** Calls that wait for an answer. */
  get waiting(): number {
    return this.#pending.size
  }

  /** Asks the thread. @throws StoreUnavailableError when there is no thread to ask or it dies meanwhile. */
  call<Name extends keyof Ops & string>(
    operation: Name,
    ...[argument]: Parameters<Ops[Name]>
  ): Promise<ReturnType<Ops[Name]>> {
    return new Promise((resolve, reject) => {
      if (!this.#worker) {
        reject(new StoreUnavailableError('the database thread is not running'))
        return
      }
      const call = ++this.#calls
      this.#pending.set(call, { resolve: resolve as PendingCall['resolve'], reject })
      this.#worker.postMessage({ call, operation, argument } satisfies ThreadCall)
    })
  }

  /** Ends the thread after the calls made before. */
  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#restart)
    const worker = this.#worker
    if (!worker) return
    const exited = new Promise((resolve) => worker.once('exit', resolve))
    worker.postMessage({ call: 0, operation: 'close', argument: undefined } satisfies ThreadCall)
    await exited
  }
}
