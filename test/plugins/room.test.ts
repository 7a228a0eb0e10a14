import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import type { App } from '../../src/app.ts'
import { post, sign, startApp, wire } from '../helper.ts'

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
  return /^http_requests_refused_total\{reason="overload"\} (\d+)$/m.exec(body)?.[1] ?? 'none'
}

t.test('beyond its bound it refuses, and takes again what comes after', async (t) => {
  const { app, log } = await startApp(t, { maxWaiting: 2 })
  const { release } = holdAppends(t, app)
  const waiting = ['one', 'two'].map((message_id) => post(app, wire({ message_id })))
  while (app.exchanges.open('messages') < 2) await new Promise((resolve) => setImmediate(resolve))

  const refused = await post(app, wire({ message_id: 'three' }))
  t.equal(refused.statusCode, 503)
  t.equal(refused.headers['retry-after'], '1')
  t.strictSame(refused.json(), { detail: 'too many messages wait; try again' })
  t.match(log.at(-1), { status: 503, refused: 'overload', result: 'error' })
  // Refused from its headers: nobody looked at the signature.
  t.equal((await post(app, 'x', {})).statusCode, 503)
  t.equal(await refusals(app), '2')
  t.match((await app.inject('/metrics')).body, /^http_requests_open\{room="messages"\} 2$/m)

  for (const url of ['/health/live', '/health/ready', '/messages', '/stats']) {
    t.equal((await app.inject(url)).statusCode, 200, `${url} is not in the messages' way`)
  }
  release()
  for (const answer of await Promise.all(waiting)) t.equal(answer.statusCode, 200)
  t.equal((await post(app, wire({ message_id: 'three' }))).statusCode, 200)
  t.equal(app.exchanges.open('messages'), 0)
})

t.test('questions have a bound of their own, and probes none', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 10 })
  const gate = Promise.withResolvers<void>()
  const stats = app.store.stats.bind(app.store)
  app.store.stats = async () => {
    await gate.promise
    return stats()
  }
  const waiting = app.inject('/stats')
  while (app.exchanges.open('questions') < 1) await new Promise((resolve) => setImmediate(resolve))
  const refused = await app.inject('/messages')
  t.equal(refused.statusCode, 503)
  t.strictSame(refused.json(), { detail: 'too many questions wait; try again' })
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
  while (app.exchanges.open('messages') < 1) await new Promise((resolve) => setImmediate(resolve))
  socket.destroy()
  await gone
  t.equal((await post(app, wire({ message_id: 'next' }))).statusCode, 503)
  const ended = new Promise<void>((resolve) => app.exchanges.onEnd(() => resolve()))
  release()
  await ended
  t.equal((await post(app, wire({ message_id: 'next' }))).statusCode, 200)
})

t.test(
  'a sender that is slow with its body makes way, and not one whose message waits',
  async (t) => {
    const { app, log } = await startApp(t, { maxWaiting: 2 })
    const { release } = holdAppends(t, app)
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const body = wire({ message_id: 'waiting' })
    const headers = { 'content-type': 'application/json', 'x-signature': sign(body) }
    const waiting = fetch(`${url}/webhook`, { method: 'POST', headers, body })
    while (app.exchanges.open('messages') < 1) await new Promise((resolve) => setImmediate(resolve))
    const slow = connect(Number(new URL(url).port), '127.0.0.1')
    t.teardown(() => slow.destroy())
    slow.resume()
    slow.write('POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{')
    const closed = once(slow, 'close')
    while (app.exchanges.open('messages') < 2) await new Promise((resolve) => setImmediate(resolve))
    // It is given a little while, and then its place is somebody else's.
    const answers = []
    let last: ReturnType<typeof post> | undefined
    while (slow.readable) {
      const next = post(app, wire({ message_id: 'next' }))
      last = next
      const answer = await Promise.race([next, closed])
      if ('statusCode' in answer) answers.push(answer.statusCode)
    }
    t.strictSame([...new Set(answers)], [503], 'until then others are refused')
    release()
    t.equal((await waiting).status, 200)
    t.equal((await last)?.statusCode, 200)
    t.match(
      log.find(({ status }) => status === 408),
      { method: 'POST', path: '/webhook' },
    )
  },
)

t.test('a connection stays in step though a body arrives after its refusal', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 1 })
  const { release } = holdAppends(t, app)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const first = post(app, wire({ message_id: 'first' }))
  while (app.exchanges.open('messages') < 1) await new Promise((resolve) => setImmediate(resolve))

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
