import t from 'tap'
import { post, startApp, wire } from '../../service.ts'
import { startProxy } from './proxy.ts'
import { createDatabase, NO_SERVER } from './server.ts'

/** Milliseconds within which posts and readiness checks get a 503 while the database is unavailable. */
const POST_WITHIN_MS = 5000
const CHECK_WITHIN_MS = 2000

t.test('while the database is unavailable', { skip: NO_SERVER }, async (t) => {
  for (const failure of ['disconnect', 'stall'] as const) {
    t.test(`${failure}: returns 503 in time, keeps acknowledged data, and recovers`, async (t) => {
      const proxy = await startProxy(t, await createDatabase(t))
      const { app } = await startApp(t, { database: { kind: 'postgres', url: proxy.url } })
      const status = async (url: string) => (await app.inject(url)).statusCode
      const acknowledged = new Set<string>()
      const send = async (message_id: string) => {
        const started = performance.now()
        const response = await post(app, wire({ message_id }))
        const took = performance.now() - started
        if (response.statusCode === 200) acknowledged.add(message_id)
        else t.equal(response.headers['retry-after'], '1')
        return { status: response.statusCode, took }
      }
      t.equal((await send('before')).status, 200)
      t.equal(await status('/health/ready'), 200)

      await proxy[failure]()
      // More than fit into the running batches, so that some posts wait for a batch.
      const sent = Array.from({ length: 20 }, (_, n) => send(`during ${n}`))
      const probed = performance.now()
      t.equal(await status('/health/ready'), 503)
      t.ok(performance.now() - probed < CHECK_WITHIN_MS)
      t.equal(await status('/health/live'), 200)
      t.equal(await status('/messages'), 503)
      sent.push(...Array.from({ length: 20 }, (_, n) => send(`late ${n}`)))
      for (const { status, took } of await Promise.all(sent)) {
        t.equal(status, 503)
        t.ok(took < POST_WITHIN_MS, `503 after ${took} ms`)
      }
      const { status: rejected, took } = await send('still unavailable')
      t.equal(rejected, 503)
      t.ok(took < POST_WITHIN_MS)

      await proxy.resume()
      while ((await send('after')).status !== 200);
      while ((await status('/health/ready')) !== 200);
      const { data } = (await app.inject('/messages')).json()
      const stored = new Set(data.map(({ message_id }: { message_id: string }) => message_id))
      for (const id of acknowledged) t.ok(stored.has(id), id)
    })
  }
})
