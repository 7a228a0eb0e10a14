import { setTimeout as delay } from 'node:timers/promises'
import { serveCalls } from '../../../src/db/sqlite/thread-main.ts'

/** What the thread under test can be asked for. */
export type MortalOperations = Awaited<ReturnType<typeof open>>['operations']

let idles = 0

async function open({
  data,
  assertNotCut,
  tell,
}: {
  data: { fail?: string; slowMs?: number }
  assertNotCut(): void
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
      for (;;) assertNotCut()
    },
    close(): void {},
  }
  const idle = () => {
    tell(++idles)
    return idles < 3
  }
  return { operations, idle, ready: 'ready' }
}

await serveCalls(open)
