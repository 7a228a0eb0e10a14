import { parentPort, workerData } from 'node:worker_threads'
import { StoreUnavailableError } from '../../message-store.ts'
import { isCorruption } from '../integrity.ts'

/** An error as it crosses from a thread: enough to rebuild it on the other side. */
export interface SerializedError {
  kind: 'damaged' | 'unavailable' | 'other'
  message: string
  stack: string | undefined
}

/** What a thread posts: that it is ready to work or why it cannot be, then the result of each call. */
export type WorkerMessage =
  | { kind: 'ready'; value: unknown }
  | { kind: 'unusable'; failure: SerializedError }
  | { kind: 'result'; call: number; value: unknown }
  | { kind: 'failed'; call: number; failure: SerializedError }
  | { kind: 'event'; value: unknown }

/** A call to a thread. */
export interface RpcRequest {
  call: number
  operation: string
  argument: unknown
}

/** What a thread can be asked for. `close` must release everything that keeps the thread alive. */
export type Operations = { close(): void } & Record<string, (argument: never) => unknown>

/** What a thread is given besides its own data: the number of the call that is to be cut off, shared. */
export interface WorkerInit<Data> {
  data: Data
  cut: Int32Array
}

/** Cuts off every call. */
export const CANCEL_ALL = -1

/**
 * SQLite's primary result codes that say "not now" rather than "never": another program holds the lock, the disk
 * is full or failing, the file is away. (https://sqlite.org/rescode.html)
 */
const NOT_NOW = /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|NOMEM|PROTOCOL)(_|$)/

function kindOf(error: Error, code: string): SerializedError['kind'] {
  if (isCorruption(error)) return 'damaged'
  return error instanceof StoreUnavailableError || NOT_NOW.test(code) ? 'unavailable' : 'other'
}

function serializeError(error: unknown): SerializedError {
  if (!(error instanceof Error)) {
    return { kind: 'other', message: String(error), stack: undefined }
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return {
    kind: kindOf(error, code),
    message: code ? `${error.message} (${code})` : error.message,
    stack: error.stack,
  }
}

/** What the other side of a thread gives to its module. */
export interface WorkerContext<Data> {
  data: Data
  /** @throws StoreUnavailableError once the call under way is to be cut off. */
  throwIfCancelled(): void
  /** Tells the other side something that it did not ask for. */
  tell(value: unknown): void
}

/**
 * Runs in a worker thread: prepares the operations, then answers calls one after the other until `close`. Between
 * calls `idle` is run, as long as it returns true, at once, or after the milliseconds that it returns.
 */
export async function serveRpc<Data, Ready>(
  start: (context: WorkerContext<Data>) => Promise<{
    operations: Operations
    ready: Ready
    idle?: () => boolean | number
  }>,
): Promise<void> {
  const port = parentPort
  if (!port) throw new Error('this module runs in a worker thread')
  const post = (message: WorkerMessage): void => port.postMessage(message)
  const { data, cut } = workerData as WorkerInit<Data>
  let current = 0
  const throwIfCancelled = (): void => {
    const number = Atomics.load(cut, 0)
    if (number === current || number === CANCEL_ALL) {
      throw new StoreUnavailableError('the read was cut off')
    }
  }

  try {
    const { operations, ready, idle } = await start({
      data,
      throwIfCancelled,
      tell: (value) => post({ kind: 'event', value }),
    })
    let immediate: NodeJS.Immediate | undefined
    let timer: NodeJS.Timeout | undefined
    const restUntilIdle = (): void => {
      if (!idle) return
      clearImmediate(immediate)
      clearTimeout(timer)
      immediate = setImmediate(() => {
        const again = idle()
        if (again === true) restUntilIdle()
        else if (typeof again === 'number') timer = setTimeout(restUntilIdle, again)
      })
    }

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
        clearImmediate(immediate)
        clearTimeout(timer)
        port.close()
      } else restUntilIdle()
    })
    post({ kind: 'ready', value: ready })
    restUntilIdle()
  } catch (error) {
    post({ kind: 'unusable', failure: serializeError(error) })
    port.close()
  }
}
