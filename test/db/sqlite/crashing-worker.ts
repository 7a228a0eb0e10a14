import { setTimeout as delay } from 'node:timers/promises'
import { serveRpc } from '../../../src/db/sqlite/worker/runtime.ts'

/** The operations of the worker under test. */
export type CrashingOperations = Awaited<ReturnType<typeof open>>['operations']

let idles = 0

async function open({
  data,
  throwIfCancelled,
  emit,
}: {
  data: { fail?: string; slowMs?: number }
  throwIfCancelled(): void
  emit(value: unknown): void
}) {
  if (data.fail) throw new Error(data.fail)
  if (data.slowMs) await delay(data.slowMs)
  const operations = {
    echo: (value: string) => value,
    fail: (message: string): never => {
      throw new Error(message)
    },
    exit: (): never => process.exit(1),
    /** Runs until it is cancelled. */
    loop: (): never => {
      for (;;) throwIfCancelled()
    },
    close(): void {},
  }
  const idle = () => {
    emit(++idles)
    return idles < 3
  }
  return { operations, idle, ready: 'ready' }
}

await serveRpc(open)
