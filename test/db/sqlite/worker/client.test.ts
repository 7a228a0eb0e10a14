import t, { type Test } from 'tap'
import { StoreUnavailableError } from '../../../../src/db/message-store.ts'
import { WorkerClient } from '../../../../src/db/sqlite/worker/client.ts'
import type { CrashingOperations } from '../crashing-worker.ts'

const ENTRY = new URL('../crashing-worker.ts', import.meta.url)

type Data = { fail?: string; slowMs?: number }

function makeClient(t: Test, data: Data = {}, onEvent?: (value: unknown) => void) {
  const client = new WorkerClient<CrashingOperations, Data, string>({
    entry: ENTRY,
    data: () => data,
    ...(onEvent ? { onEvent } : {}),
  })
  t.teardown(() => client.close())
  return client
}

t.test('resolves calls in order and rejects with errors', async (t) => {
  const client = makeClient(t)
  t.equal(await client.start(), 'ready')
  t.same(await Promise.all(['a', 'b', 'c'].map((value) => client.call('echo', value))), [
    'a',
    'b',
    'c',
  ])
  await t.rejects(client.call('fail', 'broken'), { message: 'broken' })
  t.equal(await client.call('echo', 'still there'), 'still there')
})

t.test('start rejects with the error of a worker that fails to open', async (t) => {
  await t.rejects(makeClient(t, { fail: 'no file' }).start(), {
    name: 'StoreOpenError',
    message: 'no file',
  })
})

t.test('replaces a worker that exits and rejects its pending calls', async (t) => {
  const client = makeClient(t)
  await client.start()
  const results = await Promise.allSettled([
    client.call('exit', undefined),
    client.call('echo', 'waiting'),
  ])
  for (const result of results) {
    t.ok(result.status === 'rejected' && result.reason instanceof StoreUnavailableError)
  }
  t.equal(client.running, false)
  await t.rejects(client.call('echo', 'too early'), StoreUnavailableError)
  while (!client.running) await new Promise((resolve) => setImmediate(resolve))
  t.equal(await client.call('echo', 'back'), 'back')
})

t.test('cancels a call by its signal, but no other', async (t) => {
  const client = makeClient(t)
  await client.start()
  const controller = new AbortController()
  const loop = client.call('loop', undefined, controller.signal)
  const next = client.call('echo', 'after it')
  controller.abort()
  await t.rejects(loop, { name: 'StoreUnavailableError', message: /cancelled/ })
  t.equal(await next, 'after it')
})

t.test('cancels running calls on close', async (t) => {
  const client = makeClient(t)
  await client.start()
  const loop = t.rejects(client.call('loop', undefined), StoreUnavailableError)
  await client.close()
  await loop
  await t.rejects(client.call('echo', 'too late'), StoreUnavailableError)
})

t.test('leaves no thread running when it is closed during its start', async (t) => {
  const client = makeClient(t, { slowMs: 50 })
  const starting = client.start()
  await client.close()
  await Promise.allSettled([starting])
  t.equal(client.running, false)
})

t.test('runs idle work between calls', async (t) => {
  const events: unknown[] = []
  const done = new Promise<void>((resolve) => {
    void makeClient(t, {}, (value) => {
      events.push(value)
      if (value === 3) resolve()
    }).start()
  })
  await done
  t.same(events, [1, 2, 3])
})
