import { connect } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** Options of clients that repeatedly pipeline the same requests and read no responses. */
export interface PipeliningClients {
  url: string
  connections: number
  /** Bytes that each connection sends once it is open. */
  payload: string
  /** Milliseconds after which each connection is closed and opened again. */
  reconnectMs: number
}

/**
 * Starts the clients in a worker thread.
 * @returns a function that stops them and returns the number of connections made.
 */
export async function startPipeliningClients(
  options: PipeliningClients,
): Promise<() => Promise<number>> {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: options,
    execArgv: [],
  })
  await new Promise((resolve) => worker.once('message', resolve))
  return async () => {
    const connected = new Promise<number>((resolve) => worker.once('message', resolve))
    worker.postMessage('stop')
    const count = await connected
    await worker.terminate()
    return count
  }
}

function run({ url, connections, payload, reconnectMs }: PipeliningClients): void {
  const { hostname, port } = new URL(url)
  let count = 0
  const open = (): void => {
    const socket = connect(Number(port), hostname)
    socket.on('connect', () => count++)
    socket.on('error', () => undefined)
    socket.pause()
    socket.write(payload)
    setTimeout(() => {
      socket.destroy()
      open()
    }, reconnectMs)
  }
  for (let number = 0; number < connections; number++) {
    setTimeout(open, (number / connections) * reconnectMs)
  }
  setTimeout(() => parentPort?.postMessage(0), reconnectMs)
  parentPort?.once('message', () => parentPort?.postMessage(count))
}

if (!isMainThread) run(workerData)
