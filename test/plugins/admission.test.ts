import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import type { App } from '../../src/app.ts'
import { post, sign, startApp, wire } from '../service.ts'

/** Lets no message reach the store until it is told to. */
function holdAppends(t: Test, app: App): { release: () => void } {
  const append = app.store.append.bind(app.store)
  const gate = Promise.withResolvers<void>()
  app.store.append = async (batch) => {
    await gate.promise
    return append(batch)
  }
  t.teardown(() => gate.resolve())
  return { release: () => gate.resolve() }
}

async function refusals(app: App): Promise<string> {
  const { body } = await app.inject('/metrics')
  return /^http_requests_rejected_total\{reason="overload"\} (\d+)$/m.exec(body)?.[1] ?? 'none'
}

t.test('beyond its bound it refuses, and takes again what comes after', async (t) => {
  const { app, log } = await startApp(t, { maxWaiting: 2 })
  const { release } = holdAppends(t, app)
  const waiting = ['one', 'two'].map((message_id) => post(app, wire({ message_id })))
  while (app.admission.count('ingest') < 2) await new Promise((resolve) => setImmediate(resolve))

  const refused = await post(app, wire({ message_id: 'three' }))
  t.equal(refused.statusCode, 503)
  t.equal(refused.headers['retry-after'], '1')
  t.strictSame(refused.json(), { detail: 'too many requests in flight; retry later' })
  t.match(log.at(-1), { status: 503, rejected: 'overload', result: 'error' })
  // Refused from its headers: nobody looked at the signature.
  t.equal((await post(app, 'x', {})).statusCode, 503)
  t.equal(await refusals(app), '2')
  t.match((await app.inject('/metrics')).body, /^http_requests_in_flight\{class="ingest"\} 2$/m)

  for (const url of ['/health/live', '/health/ready', '/messages', '/stats']) {
    t.equal((await app.inject(url)).statusCode, 200, `${url} is not in the messages' way`)
  }
  release()
  for (const answer of await Promise.all(waiting)) t.equal(answer.statusCode, 200)
  t.equal((await post(app, wire({ message_id: 'three' }))).statusCode, 200)
  t.equal(app.admission.count('ingest'), 0)
})

t.test('reads have a limit of their own, and probes none', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 10 })
  const gate = Promise.withResolvers<void>()
  const stats = app.store.stats.bind(app.store)
  app.store.stats = async () => {
    await gate.promise
    return stats()
  }
  const waiting = app.inject('/stats')
  while (app.admission.count('read') < 1) await new Promise((resolve) => setImmediate(resolve))
  const refused = await app.inject('/messages')
  t.equal(refused.statusCode, 503)
  t.strictSame(refused.json(), { detail: 'too many requests in flight; retry later' })
  t.equal(refused.headers['cache-control'], 'no-store', 'with the headers of every answer there')
  t.equal((await post(app, wire({ message_id: 'm' }))).statusCode, 200)
  t.equal((await app.inject('/health/ready')).statusCode, 200)
  gate.resolve()
  t.equal((await waiting).statusCode, 200)
  t.equal((await app.inject('/messages')).statusCode, 200)
})

t.test('a message whose sender has left goes on taking room until it is stored', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 1 })
  const { release } = holdAppends(t, app)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const body = wire({ message_id: 'left' })
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const gone = new Promise<void>((resolve) => {
    app.server.once('connection', (connection) => connection.once('close', () => resolve()))
  })
  socket.write(
    `POST /webhook HTTP/1.1\r\nHost: x\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  while (app.admission.count('ingest') < 1) await new Promise((resolve) => setImmediate(resolve))
  socket.destroy()
  await gone
  t.equal((await post(app, wire({ message_id: 'next' }))).statusCode, 503)
  const ended = new Promise<void>((resolve) => app.requestTracker.onCompleted(() => resolve()))
  release()
  await ended
  t.equal((await post(app, wire({ message_id: 'next' }))).statusCode, 200)
})

t.test('evicts a post whose body does not arrive, and not one that is being stored', async (t) => {
  const { app, log } = await startApp(t, { maxWaiting: 1 })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const slow = connect(Number(new URL(url).port), '127.0.0.1')
  t.teardown(() => slow.destroy())
  slow.resume()
  slow.write('POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{')
  while (app.admission.count('unverified') < 1) await new Promise((next) => setImmediate(next))
  const { release } = holdAppends(t, app)
  // Rejected until the slow one may be evicted.
  let stored: ReturnType<typeof post> | undefined
  while (app.admission.count('ingest') < 1) {
    stored = post(app, wire({ message_id: 'stored' }))
    await Promise.race([stored, new Promise((next) => setTimeout(next, 20))])
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

t.test('posts without a valid signature take no room from those that have one', async (t) => {
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
  while (status === 503) status = (await post(app, wire({ message_id: 'm' }))).statusCode
  t.equal(status, 200)
})

t.test('a client that does not read documentation keeps no reader with a token out', async (t) => {
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

t.test('a connection stays in step though a body arrives after its refusal', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 1 })
  const { release } = holdAppends(t, app)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const first = post(app, wire({ message_id: 'first' }))
  while (app.admission.count('ingest') < 1) await new Promise((resolve) => setImmediate(resolve))

  const body = wire({ message_id: 'again', text: 'x'.repeat(4000) })
  const head = `POST /webhook HTTP/1.1\r\nHost: x\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${body.length}\r\n\r\n`
  const socket = connect(Number(new URL(url).port), '127.0.0.1').setEncoding('utf8')
  t.teardown(() => socket.destroy())
  socket.write(head)
  const [refused] = await once(socket, 'data')
  t.match(refused, /^HTTP\/1.1 503 /)
  t.notMatch(refused, /^connection: close/im)
  release()
  await first
  socket.write(body)
  socket.write(head + body)
  const [taken] = await once(socket, 'data')
  t.match(taken, /^HTTP\/1.1 200 /)
})
