import { parentPort } from 'node:worker_threads'
import { StoreUnavailableError } from '../store.ts'

/** An error as it crosses from a thread: enough to rebuild it on the other side. */
export interface ThreadFailure {
  unavailable: boolean
  message: string
  code: string | undefined
  stack: string | undefined
}

/** What a thread posts: that it is ready to work or why it cannot be, then the result of each call. */
export type ThreadMessage =
  | { kind: 'ready'; value: unknown }
  | { kind: 'unusable'; failure: ThreadFailure }
  | { kind: 'result'; call: number; value: unknown }
  | { kind: 'failed'; call: number; failure: ThreadFailure }

/** A call to a thread. */
export interface ThreadCall {
  call: number
  operation: string
  argument: unknown
}

/** What a thread can be asked for. `close` must release everything that keeps the thread alive. */
export type Operations = { close(): void } & Record<string, (argument: never) => unknown>

/**
 * SQLite's primary result codes that say "not now" rather than "never": another program holds the lock, the disk
 * is full or failing, the file is away. (https://sqlite.org/rescode.html)
 */
const NOT_NOW =
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|NOMEM|PROTOCOL|CORRUPT|NOTADB)(_|$)/

function failureOf(error: unknown): ThreadFailure {
  if (!(error instanceof Error)) {
    return { unavailable: false, message: String(error), code: undefined, stack: undefined }
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return {
    unavailable:
      error instanceof StoreUnavailableError || (code !== undefined && NOT_NOW.test(code)),
    message: code ? `${error.message} (${code})` : error.message,
    code,
    stack: error.stack,
  }
}

/** Runs in a worker thread: prepares the operations, then answers calls one after the other until `close`. */
export async function serveCalls<Ready>(
  start: () => Promise<{ operations: Operations; ready: Ready }>,
): Promise<void> {
  const port = parentPort
  if (!port) throw new Error('this module runs in a worker thread')
  const post = (message: ThreadMessage): void => port.postMessage(message)
  try {
    const { operations, ready } = await start()
    port.on('message', ({ call, operation, argument }: ThreadCall) => {
      try {
        const run = operations[operation] as ((argument: unknown) => unknown) | undefined
        if (!run) throw new Error(`no operation ${operation}`)
        post({ kind: 'result', call, value: run(argument) })
      } catch (error) {
        post({ kind: 'failed', call, failure: failureOf(error) })
      }
      if (operation === 'close') port.close()
    })
    post({ kind: 'ready', value: ready })
  } catch (error) {
    post({ kind: 'unusable', failure: failureOf(error) })
    port.close()
  }
}
