import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import type { App } from '../../src/app.ts'
import { Connection } from '../connection.ts'
import { postOf } from '../load.ts'
import { type LogLine, sign, startApp, wire } from '../service.ts'

/** Sends raw bytes. @returns everything received until the server closes the connection. */
async function sendRaw(t: Test, port: number, ...chunks: string[]): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let response = ''
  socket.setEncoding('utf8').on('data', (text) => {
    response += text
  })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  for (const chunk of chunks) socket.write(chunk)
  if (!socket.closed) await once(socket, 'close')
  return response
}

async function listening(t: Test): Promise<{ app: App; port: number; log: LogLine[] }> {
  const { app, log } = await startApp(t)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, port: Number(new URL(url).port), log }
}

/** Resolves with the log line of the next request that completes. */
function nextLine(app: App, log: LogLine[]): Promise<LogLine | undefined> {
  return new Promise((resolve) => app.requestTracker.onCompleted(() => resolve(log.at(-1))))
}

function detailOf(response: string): unknown {
  return JSON.parse(response.split('\r\n\r\n')[1] ?? '').detail
}

t.test('rejects, logs and counts input that is not valid HTTP', async (t) => {
  const { port, log } = await listening(t)
  for (const [request, status] of [
    ['NONSENSE\r\n\r\n', 400],
    ['GET / HTTP/9.9\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n', 405],
  ] as const) {
    const response = await sendRaw(t, port, request)
    t.match(response, new RegExp(`^HTTP/1.1 ${status} `))
    t.type(detailOf(response), 'string')
    t.match(log.at(-1), { status })
  }
  t.equal(log.filter(({ request_id }) => request_id !== undefined).length, 4)
})

t.test('returns 400 to a request without Host', async (t) => {
  const { port } = await listening(t)
  const response = await sendRaw(t, port, 'GET /stats HTTP/1.1\r\nConnection: close\r\n\r\n')
  t.match(response, /^HTTP\/1.1 400 /)
  t.equal(detailOf(response), 'a Host header is required')
})

t.test('ignores an unknown Expect header', async (t) => {
  const { port } = await listening(t)
  const response = await sendRaw(
    t,
    port,
    'GET /health/live HTTP/1.1\r\nHost: x\r\nExpect: unknown\r\nConnection: close\r\n\r\n',
  )
  t.match(response, /^HTTP\/1.1 200 /)
})

t.test('rejects two signature headers, even if both are valid', async (t) => {
  const { port } = await listening(t)
  const body = wire({ message_id: 'm' })
  const header = `X-Signature: ${sign(body)}\r\n`
  const post = (headers: string) =>
    sendRaw(
      t,
      port,
      `POST /webhook HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`,
    )
  t.match(await post(header + header), /^HTTP\/1.1 401 /)
  t.match(await post(`${header}x-signature:\r\n`), /^HTTP\/1.1 401 /)
  t.match(await post(header), /^HTTP\/1.1 200 /)
})

t.test('rejects a body over the limit before it is read', async (t) => {
  const { port } = await listening(t)
  const announced = await sendRaw(
    t,
    port,
    'POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 16777217\r\n\r\n',
  )
  t.match(announced, /^HTTP\/1.1 413 /)
  t.match(announced, /^connection: close/im)

  const chunk = `8000\r\n${'x'.repeat(0x8000)}\r\n`
  const endless = await sendRaw(
    t,
    port,
    'POST /webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n',
    chunk.repeat(3),
  )
  t.match(endless, /^HTTP\/1.1 413 /)
  t.match(endless, /^connection: close/im)
})

t.test('keeps the connection open while a client sends a body over the limit', async (t) => {
  const { port } = await listening(t)
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  const responses: string[] = []
  socket.setEncoding('utf8').on('data', (text: string) => responses.push(text))
  socket.write('POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 16777216\r\n\r\n')
  await once(socket, 'data')
  for (let sent = 0; sent < 16; sent++) {
    if (!socket.write('x'.repeat(1024 * 1024))) await once(socket, 'drain')
  }
  socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  await once(socket, 'close')
  t.match(responses, [/^HTTP\/1.1 413 /, /^HTTP\/1.1 200 /])
  t.notMatch(responses[0], /^connection: close/im)
})

t.test('logs a request with a malformed body once', async (t) => {
  const { port, log } = await listening(t)
  const response = await sendRaw(
    t,
    port,
    'POST /webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc',
    'defgh\r\nnonsense\r\n',
  )
  t.match(response, /^HTTP\/1.1 400 /)
  t.match(
    log.filter(({ request_id }) => request_id !== undefined),
    [{ method: 'POST', path: '/webhook', status: 400 }],
  )
})

t.test('continues to serve after the reset of a CONNECT request', async (t) => {
  const { port } = await listening(t)
  for (let n = 0; n < 20; n++) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.write('CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n')
    socket.resetAndDestroy()
    await once(socket, 'close')
  }
  const response = await sendRaw(
    t,
    port,
    'GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  )
  t.match(response, /^HTTP\/1.1 200 /)
})

t.test('a rejection on a socket has the request id of its log line', async (t) => {
  const { port, log } = await listening(t)
  const response = await sendRaw(t, port, 'NONSENSE\r\n\r\n')
  t.equal(/^x-request-id: (\S+)/im.exec(response)?.[1], log.at(-1)?.request_id)
})

t.test('responds to a post before it rejects malformed input that follows', async (t) => {
  const { port, log } = await listening(t)
  const body = wire({ message_id: 'm' })
  const response = await sendRaw(
    t,
    port,
    `POST /webhook HTTP/1.1\r\nHost: x\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${body.length}\r\n\r\n${body}NONSENSE\r\n\r\n`,
  )
  t.match(response, /^HTTP\/1.1 200 [\s\S]*HTTP\/1.1 400 /)
  t.match(
    log.filter(({ request_id }) => request_id !== undefined),
    [{ message_id: 'm', status: 200, result: 'created' }, { status: 400 }],
  )
})

t.test('responds to a post before it rejects a malformed body that follows', async (t) => {
  const { port, log } = await listening(t)
  const response = await sendRaw(
    t,
    port,
    `${postOf('m')}POST /webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n`,
  )
  t.match(response, /^HTTP\/1.1 200 [\s\S]*HTTP\/1.1 400 /)
  t.match(
    log.filter(({ request_id }) => request_id !== undefined),
    [
      { message_id: 'm', status: 200, result: 'created' },
      { method: 'POST', path: '/webhook', status: 400, result: 'aborted' },
    ],
  )
})

t.test('handles pipelined requests in order, one at a time', async (t) => {
  const { app, port } = await listening(t)
  let most = 0
  const append = app.store.append.bind(app.store)
  app.store.append = (batch) => {
    most = Math.max(most, batch.length)
    return append(batch)
  }
  const ids = ['a', 'b', 'c', 'd']
  const last = 'GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
  const response = await sendRaw(t, port, ids.map((id) => postOf(id)).join('') + last)
  t.strictSame(
    [...response.matchAll(/^x-request-id: (.)\r$/gim)].map(([, id]) => id),
    ids,
  )
  t.equal(most, 1)
})

t.test('closes a connection with too many pipelined requests', async (t) => {
  const { port, log } = await listening(t)
  await sendRaw(t, port, Array.from({ length: 100 }, (_, id) => postOf(`m${id}`)).join(''))
  t.ok(log.filter(({ method }) => method === 'POST').length < 100)
})

t.test('responds to a client that half-closes its connection', async (t) => {
  const { port, log } = await listening(t)
  for (const request of [postOf('m'), 'GET /messages HTTP/1.1\r\nHost: x\r\n\r\n']) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).setEncoding('utf8')
    socket.end(request)
    const [response] = await once(socket, 'data')
    t.match(response, /^HTTP\/1.1 200 /)
    await once(socket, 'close')
  }
  t.match(log.slice(-2), [{ status: 200, message_id: 'm' }, { status: 200 }])
})

t.test('cancels a read whose client disconnects', async (t) => {
  const { app, port, log } = await listening(t)
  const cancelled = new Promise<void>((resolve) => {
    app.store.stats = (signal) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          resolve()
          reject(new Error('cancelled'))
        })
      })
  })
  const line = nextLine(app, log)
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /stats HTTP/1.1\r\nHost: x\r\n\r\n')
  while (app.admission.count('read') < 1) await new Promise((next) => setImmediate(next))
  socket.end()
  socket.destroy()
  await cancelled
  t.match(await line, { path: '/stats', status: 499 })
})

t.test('counts a post that is aborted in its body', async (t) => {
  const { app, port, log } = await listening(t)
  const line = nextLine(app, log)
  const socket = connect(port, '127.0.0.1')
  socket.write('POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{')
  while (app.admission.count('unverified') < 1) await new Promise((next) => setImmediate(next))
  socket.resetAndDestroy()
  t.match(await line, { path: '/webhook', status: 499, result: 'aborted' })
  t.match((await app.inject('/metrics')).body, /^webhook_requests_total\{result="aborted"\} 1$/m)
})

t.test('serves requests on open connections while the service closes', async (t) => {
  const { app, port } = await listening(t)
  const connections = await Promise.all(
    Array.from({ length: 32 }, () => Connection.to(`http://127.0.0.1:${port}`)),
  )
  for (const [number, connection] of connections.entries()) {
    connection.send(postOf(`before-${number}`))
    t.equal((await connection.readResponse('POST')).headers.connection, 'keep-alive')
  }
  const closed = app.close()
  while (!app.shutdown.closing) await new Promise((next) => setImmediate(next))
  for (const [number, connection] of connections.entries()) {
    connection.send(postOf(`after-${number}`))
  }
  for (const connection of connections) {
    const { status, headers } = await connection.readResponse('POST')
    t.match({ status, headers }, { status: 200, headers: { connection: 'close' } })
  }
  await closed
})
