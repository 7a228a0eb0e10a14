import { setTimeout as delay } from 'node:timers/promises'
import { serveRpc } from '../../../src/db/sqlite/worker/runtime.ts'

/** What the thread under test can be asked for. */
export type CrashingOperations = Awaited<ReturnType<typeof open>>['operations']

let idles = 0

async function open({
  data,
  throwIfCancelled,
  tell,
}: {
  data: { fail?: string; slowMs?: number }
  throwIfCancelled(): void
  tell(value: unknown): void
}) {
  if (data.fail) throw new Error(data.fail)
  if (data.slowMs) await delay(data.slowMs)
  const operations = {
    echo: (value: string) => value,
    fail: (message: string): never => {
      throw new Error(message)
    },
    die: (): never => process.exit(1),
    /** Runs until it is cut off. */
    scan: (): never => {
      for (;;) throwIfCancelled()
    },
    close(): void {},
  }
  const idle = () => {
    tell(++idles)
    return idles < 3
  }
  return { operations, idle, ready: 'ready' }
}

await serveRpc(open)
