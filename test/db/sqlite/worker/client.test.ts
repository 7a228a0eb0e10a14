import t, { type Test } from 'tap'
import { StoreUnavailableError } from '../../../../src/db/message-store.ts'
import { WorkerClient } from '../../../../src/db/sqlite/worker/client.ts'
import type { CrashingOperations } from '../crashing-worker.ts'

const ENTRY = new URL('../crashing-worker.ts', import.meta.url)

type Data = { fail?: string; slowMs?: number }

function thread(t: Test, data: Data = {}, onEvent?: (value: unknown) => void) {
  const made = new WorkerClient<CrashingOperations, Data, string>({
    entry: ENTRY,
    data: () => data,
    ...(onEvent ? { onEvent } : {}),
  })
  t.teardown(() => made.close())
  return made
}

t.test('answers calls in order, and errors as errors', async (t) => {
  const one = thread(t)
  t.equal(await one.start(), 'ready')
  t.same(await Promise.all(['a', 'b', 'c'].map((value) => one.call('echo', value))), [
    'a',
    'b',
    'c',
  ])
  await t.rejects(one.call('fail', 'broken'), { message: 'broken' })
  t.equal(await one.call('echo', 'still there'), 'still there')
})

t.test('one that cannot work says why', async (t) => {
  await t.rejects(thread(t, { fail: 'no file' }).start(), {
    name: 'StoreOpenError',
    message: 'no file',
  })
})

t.test('one that dies is replaced, and whoever waited is told', async (t) => {
  const one = thread(t)
  await one.start()
  const answers = await Promise.allSettled([
    one.call('die', undefined),
    one.call('echo', 'waiting'),
  ])
  for (const answer of answers) {
    t.ok(answer.status === 'rejected' && answer.reason instanceof StoreUnavailableError)
  }
  t.equal(one.running, false)
  await t.rejects(one.call('echo', 'too early'), StoreUnavailableError)
  while (!one.running) await new Promise((resolve) => setImmediate(resolve))
  t.equal(await one.call('echo', 'back'), 'back')
})

t.test('a call is cut off by its signal, and no other', async (t) => {
  const one = thread(t)
  await one.start()
  const controller = new AbortController()
  const scan = one.call('scan', undefined, controller.signal)
  const next = one.call('echo', 'after it')
  controller.abort()
  await t.rejects(scan, { name: 'StoreUnavailableError', message: /cut off/ })
  t.equal(await next, 'after it')
})

t.test('closing cuts off what is under way', async (t) => {
  const one = thread(t)
  await one.start()
  const scan = t.rejects(one.call('scan', undefined), StoreUnavailableError)
  await one.close()
  await scan
  await t.rejects(one.call('echo', 'too late'), StoreUnavailableError)
})

t.test('one that is closed while it starts leaves no thread behind', async (t) => {
  const one = thread(t, { slowMs: 50 })
  const starting = one.start()
  await one.close()
  await Promise.allSettled([starting])
  t.equal(one.running, false)
})

t.test('between calls it does what is left to do', async (t) => {
  const told: unknown[] = []
  const done = new Promise<void>((resolve) => {
    void thread(t, {}, (value) => {
      told.push(value)
      if (value === 3) resolve()
    }).start()
  })
  await done
  t.same(told, [1, 2, 3])
})
