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

/** How long to wait before a thread that could not start is started again, in milliseconds. */
const RESTART_DELAY_MS = 1000

/** What a thread makes is short-lived and little; V8 would let it grow to far more, unless its own options say. */
const YOUNG_GENERATION_MB = 16

interface PendingCall extends QueueMember<PendingCall> {
  call: number
  resolve: (value: unknown) => void
  reject: (reason: unknown) => void
}

const ERRORS = { damaged: StoreCorruptError, unavailable: StoreUnavailableError, other: Error }

function deserializeError(failure: SerializedError): Error {
  const error = new ERRORS[failure.kind](failure.message)
  if (failure.stack) error.stack = failure.stack
  return error
}

/** What a thread is started with. */
export interface WorkerClientOptions<Data, Ready> {
  /** The module that the thread runs. */
  entry: URL
  /** What the module is given, from what the thread before it said when it was ready. */
  data: (previous: Ready | undefined) => Data
  /** Hears what the thread tells unasked. */
  onEvent?: (value: unknown) => void
}

/**
 * A worker thread that answers calls in order. One that dies is replaced; the calls that waited for it, and those
 * made until the next one is ready, fail as unavailable.
 */
export class WorkerClient<Ops extends Operations, Data, Ready> {
  readonly #options: WorkerClientOptions<Data, Ready>
  readonly #pending = new Queue<PendingCall>()
  readonly #cut = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  /** The one that is starting or running, and whether it can be asked. */
  #worker: Worker | undefined
  #running = false
  #ready: Ready | undefined
  #calls = 0
  #closing = false
  #restart: NodeJS.Timeout | undefined

  constructor(options: WorkerClientOptions<Data, Ready>) {
    this.#options = options
  }

  /** Starts the thread. @throws StoreOpenError with the thread's own reason when it cannot work. */
  start(): Promise<Ready> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(this.#options.entry, {
        workerData: {
          data: this.#options.data(this.#ready),
          cut: this.#cut,
        } satisfies WorkerInit<Data>,
        // What the process was told to load first is not for its threads.
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
          const waiting = this.#takePending(message.call)
          if (message.kind === 'result') waiting?.resolve(message.value)
          else waiting?.reject(deserializeError(message.failure))
        }
      })
      worker.on('error', (error) => {
        failure = error instanceof Error ? error : new Error(String(error))
      })
      worker.on('exit', () => {
        const wasRunning = this.#running
        this.#running = false
        this.#worker = undefined
        reject(failure ?? new StoreOpenError('the database thread ended before it was ready'))
        for (const pending of this.#pending) {
          this.#pending.remove(pending)
          pending.reject(new StoreUnavailableError('the database thread ended', { cause: failure }))
        }
        if (wasRunning && !this.#closing) this.#replace()
      })
    })
  }

  /** The call that was answered: the oldest, as the thread answers in order. */
  #takePending(call: number): PendingCall | undefined {
    for (const pending of this.#pending) {
      if (pending.call !== call) continue
      this.#pending.remove(pending)
      return pending
    }
    return undefined
  }

  #replace(): void {
    this.start().catch(() => {
      if (!this.#closing) this.#restart = setTimeout(() => this.#replace(), RESTART_DELAY_MS)
    })
  }

  /** Whether there is a thread to ask now. */
  get running(): boolean {
    return this.#running
  }

  /**
   * Asks the thread. An aborted call is cut off where its reads look out for it, and rejects.
   * @throws StoreUnavailableError when there is no thread to ask or it dies meanwhile.
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
      // Positive and within 31 bits, as the number of the call to cut is shared.
      this.#calls = (this.#calls % 0x7fffffff) + 1
      const call = this.#calls
      const cut = () => Atomics.store(this.#cut, 0, call)
      signal?.addEventListener('abort', cut, { once: true })
      const settled = () => signal?.removeEventListener('abort', cut)
      this.#pending.add({
        call,
        queue: undefined,
        older: undefined,
        newer: undefined,
        resolve: (value) => {
          settled()
          resolve(value as ReturnType<Ops[Name]>)
        },
        reject: (reason) => {
          settled()
          reject(reason)
        },
      })
      this.#worker.postMessage({ call, operation, argument } satisfies RpcRequest)
    })
  }

  /** Ends the thread after the calls made before; reads among them are cut off. */
  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#restart)
    Atomics.store(this.#cut, 0, CANCEL_ALL)
    const worker = this.#worker
    if (!worker) return
    const exited = new Promise((resolve) => worker.once('exit', resolve))
    worker.postMessage({ call: 0, operation: 'close', argument: undefined } satisfies RpcRequest)
    await exited
  }
}
