import { Worker } from 'node:worker_threads'
import { Queue, type QueueMember } from '../../../queue.ts'
import { StoreCorruptError, StoreOpenError, StoreUnavailableError } from '../../message-store.ts'
import {
  CANCEL_ALL,
  type Operations,
  type RpcRequest,
  type SerializedError,
  type WorkerInit,
  type WorkerMessage,
} from './runtime.ts'

/** Milliseconds between attempts to replace a worker that could not start. */
const RESTART_DELAY_MS = 1000

/**
 * Size limit of V8's young generation.
 * Workers allocate few and short-lived objects; the default is far larger.
 */
const YOUNG_GENERATION_MB = 16

/** A call whose result is pending. */
interface PendingCall extends QueueMember<PendingCall> {
  call: number
  resolve: (value: unknown) => void
  reject: (reason: unknown) => void
}

const ERRORS = { corrupt: StoreCorruptError, unavailable: StoreUnavailableError, other: Error }

function deserializeError(failure: SerializedError): Error {
  const error = new ERRORS[failure.kind](failure.message)
  if (failure.stack) error.stack = failure.stack
  return error
}

/** Options for starting a worker. */
export interface WorkerClientOptions<Data, Ready> {
  /** The module that the worker runs. */
  entry: URL
  /** Returns the data for the module. `previous` is the `ready` value of the last worker. */
  data: (previous: Ready | undefined) => Data
  /** Called with each event that the worker emits. */
  onEvent?: (value: unknown) => void
}

/**
 * A worker thread that executes calls in order.
 * A worker that exits is replaced; its pending calls, and calls made before the next one is ready, reject with
 * StoreUnavailableError.
 */
export class WorkerClient<Ops extends Operations, Data, Ready> {
  readonly #options: WorkerClientOptions<Data, Ready>
  readonly #pending = new Queue<PendingCall>()
  /** Shared memory: the number of the call to cancel, or `CANCEL_ALL`. */
  readonly #cancelled = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  /** The worker that is starting or running. */
  #worker: Worker | undefined
  #running = false
  #ready: Ready | undefined
  #calls = 0
  #closing = false
  #restart: NodeJS.Timeout | undefined

  constructor(options: WorkerClientOptions<Data, Ready>) {
    this.#options = options
  }

  /** Starts the worker. @throws StoreOpenError with the worker's own reason if it is unusable. */
  start(): Promise<Ready> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(this.#options.entry, {
        workerData: {
          data: this.#options.data(this.#ready),
          cancelled: this.#cancelled,
        } satisfies WorkerInit<Data>,
        // Does not inherit the `--import` options of the process.
        execArgv: [],
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
      })
      this.#worker = worker
      let failure: Error | undefined
      worker.on('message', (message: WorkerMessage) => {
        if (message.kind === 'ready') {
          this.#running = true
          this.#ready = message.value as Ready
          resolve(this.#ready)
        } else if (message.kind === 'unusable') {
          failure = new StoreOpenError(message.failure.message)
        } else if (message.kind === 'event') {
          this.#options.onEvent?.(message.value)
        } else {
          const pending = this.#takePending(message.call)
          if (message.kind === 'result') pending?.resolve(message.value)
          else pending?.reject(deserializeError(message.failure))
        }
      })
      worker.on('error', (error) => {
        failure = error instanceof Error ? error : new Error(String(error))
      })
      worker.on('exit', () => {
        reject(failure ?? new StoreOpenError('the database thread ended before it was ready'))
        this.#handleExit(failure)
      })
    })
  }

  #handleExit(failure: Error | undefined): void {
    const wasRunning = this.#running
    this.#running = false
    this.#worker = undefined
    for (const pending of this.#pending) {
      this.#pending.remove(pending)
      pending.reject(new StoreUnavailableError('the database thread ended', { cause: failure }))
    }
    if (wasRunning && !this.#closing) this.#replace()
  }

  #replace(): void {
    this.start().catch(() => {
      if (!this.#closing) this.#restart = setTimeout(() => this.#replace(), RESTART_DELAY_MS)
    })
  }

  /** Removes and returns a pending call; usually the oldest one, as results arrive in order. */
  #takePending(call: number): PendingCall | undefined {
    for (const pending of this.#pending) {
      if (pending.call !== call) continue
      this.#pending.remove(pending)
      return pending
    }
    return undefined
  }

  /** Whether the worker accepts calls. */
  get running(): boolean {
    return this.#running
  }

  /**
   * Calls an operation.
   * Aborting takes effect at the next cancellation check of the operation, which then throws.
   * @throws StoreUnavailableError if the worker is not running or exits before the result.
   */
  call<Name extends keyof Ops & string>(
    operation: Name,
    argument: Parameters<Ops[Name]>[0],
    signal?: AbortSignal,
  ): Promise<ReturnType<Ops[Name]>> {
    return new Promise((resolve, reject) => {
      if (!this.#worker || !this.#running) {
        reject(new StoreUnavailableError('the database thread is not running'))
        return
      }
      // Positive and within 31 bits, so that it fits into the shared memory and is never `CANCEL_ALL`.
      this.#calls = (this.#calls % 0x7fffffff) + 1
      const call = this.#calls
      const cancel = () => Atomics.store(this.#cancelled, 0, call)
      signal?.addEventListener('abort', cancel, { once: true })
      const stopListening = () => signal?.removeEventListener('abort', cancel)
      this.#pending.add({
        call,
        queue: undefined,
        older: undefined,
        newer: undefined,
        weight: 1,
        resolve: (value) => {
          stopListening()
          resolve(value as ReturnType<Ops[Name]>)
        },
        reject: (reason) => {
          stopListening()
          reject(reason)
        },
      })
      this.#worker.postMessage({ call, operation, argument } satisfies RpcRequest)
    })
  }

  /** Closes the worker after all pending calls. Reads among them are cancelled. */
  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#restart)
    Atomics.store(this.#cancelled, 0, CANCEL_ALL)
    const worker = this.#worker
    if (!worker) return
    const exited = new Promise((resolve) => worker.once('exit', resolve))
    worker.postMessage({ call: 0, operation: 'close', argument: undefined } satisfies RpcRequest)
    await exited
  }
}
