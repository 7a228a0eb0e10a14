import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import type { App } from '../../src/app.ts'
import { parseConfig } from '../../src/config.ts'
import { Connection } from '../connection.ts'
import { postOf } from '../load.ts'
import { post, sign, startApp, wire } from '../service.ts'
import {
  APP_SECRET,
  bodyOf,
  messagesChange,
  metaHeaders,
  textMessage,
} from '../sources/meta-bodies.ts'

/** Delays every append until `release` is called, or the test ends. */
function delayAppends(t: Test, app: App): { release: () => void } {
  const append = app.store.append.bind(app.store)
  const gate = Promise.withResolvers<void>()
  app.store.append = async (batch) => {
    await gate.promise
    return append(batch)
  }
  t.teardown(() => gate.resolve())
  return { release: () => gate.resolve() }
}

/** Returns the number of requests rejected for overload, from the metrics. */
async function overloads(app: App): Promise<string> {
  const { body } = await app.inject('/metrics')
  return /^http_requests_rejected_total\{reason="overload"\} (\d+)$/m.exec(body)?.[1] ?? 'none'
}

t.test('rejects posts over the limit with 503, and accepts posts again below it', async (t) => {
  const { app, log } = await startApp(t, { maxWaiting: 2 })
  const { release } = delayAppends(t, app)
  const waiting = ['one', 'two'].map((message_id) => post(app, wire({ message_id })))
  while (app.admission.count('ingest') < 2) await new Promise((resolve) => setImmediate(resolve))

  const rejected = await post(app, wire({ message_id: 'three' }))
  t.equal(rejected.statusCode, 503)
  t.equal(rejected.headers['retry-after'], '1')
  t.strictSame(rejected.json(), { detail: 'too many requests in flight; retry later' })
  t.match(log.at(-1), { status: 503, rejected: 'overload', result: 'error' })
  // Rejected before the signature is verified.
  t.equal((await post(app, 'x', {})).statusCode, 503)
  t.equal(await overloads(app), '2')
  t.match((await app.inject('/metrics')).body, /^http_requests_in_flight\{class="ingest"\} 2$/m)

  for (const url of ['/health/live', '/health/ready', '/messages', '/stats']) {
    t.equal((await app.inject(url)).statusCode, 200, `${url} is served`)
  }
  release()
  for (const response of await Promise.all(waiting)) t.equal(response.statusCode, 200)
  t.equal((await post(app, wire({ message_id: 'three' }))).statusCode, 200)
  t.equal(app.admission.count('ingest'), 0)
})

t.test('a post counts once for each 64 KiB of its body', async (t) => {
  const { sources } = parseConfig({ META_APP_SECRET: APP_SECRET })
  const { app } = await startApp(t, { sources, maxWaiting: 4 })
  const { release } = delayAppends(t, app)
  const postMeta = (id: string, size: number, rest = {}) => {
    const body = bodyOf(messagesChange([textMessage(id, 'x'.repeat(size))]))
    const headers = { ...metaHeaders(body), ...rest }
    return app.inject({ method: 'POST', url: '/webhook/meta', headers, payload: body })
  }
  const waiting = [postMeta('one', 1000), postMeta('two', 150_000)]
  while (app.admission.count('ingest') < 2) await new Promise((resolve) => setImmediate(resolve))
  t.equal((await postMeta('three', 10)).statusCode, 503, 'four posts of 64 KiB are in flight')
  release()
  for (const response of await Promise.all(waiting)) t.equal(response.statusCode, 200)
  t.equal((await postMeta('four', 2_000_000)).statusCode, 200, 'more than the limit on its own')
  t.equal(app.admission.count('ingest'), 0)
})

t.test('reads have a separate limit, and probes have none', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 10 })
  const gate = Promise.withResolvers<void>()
  const stats = app.store.stats.bind(app.store)
  app.store.stats = async () => {
    await gate.promise
    return stats()
  }
  const waiting = app.inject('/stats')
  while (app.admission.count('read') < 1) await new Promise((resolve) => setImmediate(resolve))
  const rejected = await app.inject('/messages')
  t.equal(rejected.statusCode, 503)
  t.strictSame(rejected.json(), { detail: 'too many requests in flight; retry later' })
  t.equal(rejected.headers['cache-control'], 'no-store', 'with the security headers')
  t.equal((await post(app, wire({ message_id: 'm' }))).statusCode, 200)
  t.equal((await app.inject('/health/ready')).statusCode, 200)
  gate.resolve()
  t.equal((await waiting).statusCode, 200)
  t.equal((await app.inject('/messages')).statusCode, 200)
})

t.test(
  'a message counts as in flight until it is stored, even if its client disconnects',
  async (t) => {
    const { app } = await startApp(t, { maxWaiting: 1 })
    const { release } = delayAppends(t, app)
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const body = wire({ message_id: 'left' })
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    const closed = new Promise<void>((resolve) => {
      app.server.once('connection', (connection) => connection.once('close', () => resolve()))
    })
    socket.write(
      `POST /webhook HTTP/1.1\r\nHost: x\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    while (app.admission.count('ingest') < 1) await new Promise((resolve) => setImmediate(resolve))
    socket.destroy()
    await closed
    t.equal((await post(app, wire({ message_id: 'next' }))).statusCode, 503)
    const ended = new Promise<void>((resolve) => app.requestTracker.onCompleted(() => resolve()))
    release()
    await ended
    t.equal((await post(app, wire({ message_id: 'next' }))).statusCode, 200)
  },
)

t.test('evicts a post whose body does not arrive, but not one that is being stored', async (t) => {
  const { app, log } = await startApp(t, { maxWaiting: 1 })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const slow = connect(Number(new URL(url).port), '127.0.0.1')
  t.teardown(() => slow.destroy())
  slow.resume()
  slow.write('POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{')
  while (app.admission.count('unverified') < 1) await new Promise((next) => setImmediate(next))
  const { release } = delayAppends(t, app)
  // Rejected until two checks have found the slow one stalled.
  let stored: ReturnType<typeof post> | undefined
  while (app.admission.count('ingest') < 1) {
    stored = post(app, wire({ message_id: 'stored' }))
    await new Promise((next) => setTimeout(next, 20))
  }
  if (!slow.closed) await once(slow, 'close')
  t.equal((await post(app, wire({ message_id: 'next' }))).statusCode, 503)
  release()
  t.equal((await stored)?.statusCode, 200)
  t.match(
    log.find(({ status }) => status === 408),
    { method: 'POST', path: '/webhook', result: 'aborted' },
  )
})

t.test('does not evict a post whose body waits for a busy event loop', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 1 })
  const connection = await Connection.to(await app.listen({ host: '127.0.0.1', port: 0 }))
  t.teardown(() => connection.close())
  const [head = '', body = ''] = postOf('slow').split(/(?<=\r\n\r\n)/)
  connection.send(head)
  while (app.admission.count('unverified') < 1) await new Promise((next) => setImmediate(next))
  connection.send(body)
  const until = performance.now() + 1000
  while (performance.now() < until);
  t.equal((await post(app, wire({ message_id: 'next' }))).statusCode, 503)
  t.equal((await connection.readResponse('POST')).status, 200)
})

t.test('evicts as many posts without a body as a large one counts for', async (t) => {
  const { sources } = parseConfig({ META_APP_SECRET: APP_SECRET })
  const { app } = await startApp(t, { sources, maxWaiting: 50 })
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  const begin = (length: number) => {
    const socket = connect(Number(port), '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.on('error', () => undefined).resume()
    socket.write(`POST /webhook/meta HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`)
    return once(app.server, 'request')
  }
  for (let light = 0; light < 50; light++) await begin(1000)
  t.equal(app.admission.count('unverified'), 50)
  // Each counts as 48 posts: the second one replaces 48 of the others. Both are rejected until two checks have found the
  // others stalled.
  while (app.admission.count('unverified') !== 3) {
    await begin(3 * 1024 * 1024)
    await new Promise((next) => setTimeout(next, 20))
  }
  t.equal(app.admission.count('unverified'), 3)
})

t.test('unverified posts do not count toward the limit of verified posts', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 2 })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  for (let number = 0; number < 2; number++) {
    const slow = connect(Number(new URL(url).port), '127.0.0.1')
    slow.on('error', () => undefined)
    t.teardown(() => slow.destroy())
    slow.write('POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{')
  }
  while (app.admission.count('unverified') < 2) await new Promise((next) => setImmediate(next))
  t.match((await app.inject('/metrics')).body, /^http_requests_in_flight\{class="unverified"\} 2$/m)
  let status = 503
  while (status === 503) {
    status = (await post(app, wire({ message_id: 'm' }))).statusCode
    await new Promise((next) => setTimeout(next, 20))
  }
  t.equal(status, 200)
})

t.test('stalled public requests do not count toward the limit of reads', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 10, apiTokens: ['token'] })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.pause()
  socket.write('GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(9))
  while (app.admission.count('public') < 1) await new Promise((next) => setImmediate(next))
  const headers = { authorization: 'Bearer token' }
  t.equal((await app.inject({ url: '/stats', headers })).statusCode, 200)
})

t.test('a connection stays usable if the body arrives after the rejection', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 1 })
  const { release } = delayAppends(t, app)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const first = post(app, wire({ message_id: 'first' }))
  while (app.admission.count('ingest') < 1) await new Promise((resolve) => setImmediate(resolve))

  const body = wire({ message_id: 'again', text: 'x'.repeat(4000) })
  const head = `POST /webhook HTTP/1.1\r\nHost: x\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${body.length}\r\n\r\n`
  const socket = connect(Number(new URL(url).port), '127.0.0.1').setEncoding('utf8')
  t.teardown(() => socket.destroy())
  socket.write(head)
  const [rejected] = await once(socket, 'data')
  t.match(rejected, /^HTTP\/1.1 503 /)
  t.notMatch(rejected, /^connection: close/im)
  release()
  await first
  socket.write(body)
  socket.write(head + body)
  const [accepted] = await once(socket, 'data')
  t.match(accepted, /^HTTP\/1.1 200 /)
})
