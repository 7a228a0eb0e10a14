import { parentPort, workerData } from 'node:worker_threads'
import { StoreUnavailableError } from '../../message-store.ts'
import { isCorruption, isUnavailable } from '../errors.ts'

/** A serialized error: structured clone would lose its class. */
export interface SerializedError {
  kind: 'corrupt' | 'unavailable' | 'other'
  message: string
  stack: string | undefined
}

/** A message from a worker: it is ready or unusable, a call succeeded or failed, or an event occurred. */
export type WorkerMessage =
  | { kind: 'ready'; value: unknown }
  | { kind: 'unusable'; failure: SerializedError }
  | { kind: 'result'; call: number; value: unknown }
  | { kind: 'failed'; call: number; failure: SerializedError }
  | { kind: 'event'; value: unknown }

/** A call to a worker. */
export interface RpcRequest {
  call: number
  operation: string
  argument: unknown
}

/** The operations of a worker by name. `close` must release everything that keeps the thread alive. */
export type Operations = { close(): void } & Record<string, (argument: never) => unknown>

/** The `workerData` of a worker. */
export interface WorkerInit<Data> {
  data: Data
  /** Shared memory: the number of the call to cancel, or `CANCEL_ALL`. */
  cancelled: Int32Array
}

/** The value of `cancelled` that cancels every call. */
export const CANCEL_ALL = -1

function kindOf(error: Error): SerializedError['kind'] {
  if (isCorruption(error)) return 'corrupt'
  return isUnavailable(error) ? 'unavailable' : 'other'
}

function serializeError(error: unknown): SerializedError {
  if (!(error instanceof Error)) {
    return { kind: 'other', message: String(error), stack: undefined }
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return {
    kind: kindOf(error),
    message: code ? `${error.message} (${code})` : error.message,
    stack: error.stack,
  }
}

/** The context that the runtime passes to the module of a worker. */
export interface WorkerContext<Data> {
  data: Data
  /** @throws StoreUnavailableError if the current call is cancelled. */
  throwIfCancelled(): void
  /** Posts an event to the client. */
  emit(value: unknown): void
}

/** The interface of a worker's module. */
interface WorkerModule<Ready> {
  operations: Operations
  /** Posted to the client when the worker is ready. */
  ready: Ready
  /**
   * Runs between calls.
   * It runs again at once if it returns true, or after the number of milliseconds that it returns.
   */
  idle?: () => boolean | number
}

/** Schedules `idle` after each call. */
class IdleLoop {
  readonly #idle: () => boolean | number
  #immediate: NodeJS.Immediate | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(idle: () => boolean | number) {
    this.#idle = idle
  }

  schedule(): void {
    this.stop()
    this.#immediate = setImmediate(() => {
      const again = this.#idle()
      if (again === true) this.schedule()
      else if (typeof again === 'number') this.#timer = setTimeout(() => this.schedule(), again)
    })
  }

  stop(): void {
    clearImmediate(this.#immediate)
    clearTimeout(this.#timer)
  }
}

/** Runs a worker thread: starts its module, then executes calls one after the other until `close`. */
export async function serveRpc<Data, Ready>(
  start: (context: WorkerContext<Data>) => Promise<WorkerModule<Ready>>,
): Promise<void> {
  const port = parentPort
  if (!port) throw new Error('this module runs in a worker thread')
  const post = (message: WorkerMessage): void => port.postMessage(message)
  const { data, cancelled } = workerData as WorkerInit<Data>
  let current = 0
  const throwIfCancelled = (): void => {
    const call = Atomics.load(cancelled, 0)
    if (call === current || call === CANCEL_ALL) {
      throw new StoreUnavailableError('the read was cancelled')
    }
  }

  try {
    const { operations, ready, idle } = await start({
      data,
      throwIfCancelled,
      emit: (value) => post({ kind: 'event', value }),
    })
    const loop = idle && new IdleLoop(idle)
    port.on('message', ({ call, operation, argument }: RpcRequest) => {
      current = call
      try {
        const run = operations[operation] as ((argument: unknown) => unknown) | undefined
        if (!run) throw new Error(`no operation ${operation}`)
        post({ kind: 'result', call, value: run(argument) })
      } catch (error) {
        post({ kind: 'failed', call, failure: serializeError(error) })
      }
      if (operation === 'close') {
        loop?.stop()
        port.close()
      } else loop?.schedule()
    })
    post({ kind: 'ready', value: ready })
    loop?.schedule()
  } catch (error) {
    post({ kind: 'unusable', failure: serializeError(error) })
    port.close()
  }
}
