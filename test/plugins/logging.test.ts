import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { NO_SOURCES, post, sign, startApp, startService, wire } from '../service.ts'

const SENSITIVE = { from: '+4915112345678', to: '+33612345678', text: 'a private word' }

t.test('writes one line per request, with the fields of the legacy Python service', async (t) => {
  const { app, log } = await startApp(t)
  await app.inject('/messages?from=%2B4915112345678&q=private')
  t.equal(log.length, 1)
  const { ts, request_id, latency_ms, ...line } = log[0] ?? {}
  t.strictSame(line, { level: 'INFO', method: 'GET', path: '/messages', status: 200 })
  t.match(ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  t.match(request_id, /^[0-9a-f-]{36}$/)
  t.type(latency_ms, 'number')
})

t.test(
  'logs the id, the result and the duplicate flag of a post, and no personal data',
  async (t) => {
    const { app, log } = await startApp(t)
    const body = wire({ message_id: 'm1', ...SENSITIVE })
    await post(app, body)
    await post(app, body)
    await post(app, wire({ message_id: 'm1' }))
    await post(app, body, { 'x-signature': 'wrong' })
    await post(app, wire({ message_id: 'm2', from: '4915112345678', text: 'x'.repeat(5000) }))
    await post(app, 'x', { 'x-signature': sign('x'), 'content-type': 'text/plain' })
    t.match(log, [
      { level: 'INFO', status: 200, message_id: 'm1', dup: false, result: 'created' },
      { level: 'INFO', status: 200, message_id: 'm1', dup: true, result: 'duplicate' },
      { level: 'INFO', status: 200, message_id: 'm1', dup: true, conflict: true },
      { level: 'ERROR', status: 401, result: 'invalid_signature' },
      {
        level: 'INFO',
        status: 422,
        result: 'validation_error',
        problems: [
          { loc: ['body', 'from'], type: 'value_error' },
          { loc: ['body', 'text'], type: 'value_error' },
        ],
      },
      { level: 'INFO', status: 415, result: 'validation_error' },
    ])
    t.strictSame(
      log.map(({ conflict }) => conflict),
      [undefined, undefined, true, undefined, undefined, undefined],
    )
    const text = JSON.stringify(log)
    for (const secret of [...Object.values(SENSITIVE), '4915112345678', 'testsecret', 'xxxxx']) {
      t.notOk(text.includes(secret), secret)
    }
  },
)

t.test('logs the cause of a 5xx, and does not send it', async (t) => {
  const { app, log } = await startApp(t)
  app.store.stats = () => Promise.reject(new Error('inner reason'))
  const response = await app.inject('/stats')
  t.equal(response.statusCode, 500)
  t.strictSame(response.json(), { detail: 'internal server error' })
  t.match(log, [{ level: 'ERROR', status: 500, cause: { message: 'inner reason' } }])
})

t.test('returns and logs a valid X-Request-ID, and replaces an invalid one', async (t) => {
  const { app, log } = await startApp(t)
  for (const id of ['abc-123', 'a b~!', 'x'.repeat(128)]) {
    const response = await app.inject({ url: '/nowhere', headers: { 'x-request-id': id } })
    t.equal(response.headers['x-request-id'], id)
    t.equal(log.at(-1)?.request_id, id)
  }
  for (const id of ['', 'x'.repeat(129), 'tab\there', 'é', 'line\u007f']) {
    const response = await app.inject({ url: '/nowhere', headers: { 'x-request-id': id } })
    t.match(response.headers['x-request-id'], /^[0-9a-f-]{36}$/)
    t.equal(log.at(-1)?.request_id, response.headers['x-request-id'])
  }
})

t.test('writes no lines below LOG_LEVEL', async (t) => {
  const { app, log } = await startApp(t, { logLevel: 'ERROR', sources: NO_SOURCES })
  await app.inject('/stats')
  await app.inject('/health/ready')
  t.match(log, [{ level: 'ERROR', status: 503 }])
  t.equal(log.length, 1)
})

t.test('logs a request whose client disconnected as 499', async (t) => {
  const service = await startService(t)
  const { port, hostname } = new URL(service.url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.write('POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"mess')
  await fetch(`${service.url}/health/live`)
  socket.destroy()
  await fetch(`${service.url}/health/live`)
  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0)
  t.match(
    service.log.filter(({ path }) => path === '/webhook'),
    [{ level: 'INFO', method: 'POST', status: 499 }],
  )
})

t.test('logs the result of a message whose client disconnected before the response', async (t) => {
  const { app, log } = await startApp(t)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const append = app.store.append.bind(app.store)
  let release = () => {}
  const entered = new Promise<void>((resolve) => {
    app.store.append = async (batch) => {
      resolve()
      await new Promise<void>((done) => {
        release = done
      })
      return append(batch)
    }
  })
  const body = wire({ message_id: 'm' })
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.write(
    `POST /webhook HTTP/1.1\r\nHost: x\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  await entered
  // A reset, since the client may still read after a FIN.
  socket.resetAndDestroy()
  const nextRequest = new Promise<void>((resolve) => app.server.once('request', () => resolve()))
  await fetch(`${url}/health/live`)
  await nextRequest
  release()
  await app.close()
  t.match(
    log.filter(({ path }) => path === '/webhook'),
    [{ status: 499, message_id: 'm', dup: false, result: 'created' }],
  )
})

t.test('logs the route template, and redacts paths without a route', async (t) => {
  const { app, log } = await startApp(t, { corsOrigins: ['https://page.example'] })
  const preflight = { 'access-control-request-method': 'GET', origin: 'https://page.example' }
  for (const [url, path] of [
    ['/messages?from=%2B4915112345678', '/messages'],
    ['/messages/', '/messages'],
    ['/messages/+4915112345678', '/messages/:message_id'],
    ['/messages/%34%39%31%35112345678', '/messages/:message_id'],
    ['/messages/49-151-234%205678', '/messages/:message_id'],
    [`/messages/${'4'.repeat(7000)}`, '/messages/…'],
    ['/docs/static/4915112345678', '/docs/static/*'],
    ['/senders/+4915112345678/all', '/senders/…/all'],
    ['/v1/webhooks', '/v…/webhooks'],
    ['/%34%39%31%35112345678', '/…'],
    ['/49-151-234-5678', '/…-…-…-…'],
    ['/49.15.11.23', '/….….….…'],
    ['/4%209/1/5/1/1', '/…/…/…/…/…'],
    ['/%D9%A4%D9%A9/\u0664\u0669', '/…/…'],
    ['/%E0%A5%AF%zz', '/…zz'],
    ['/nowhere?4915112345678#4915112345678', '/nowhere'],
  ] as const) {
    for (const method of ['GET', 'DELETE', 'OPTIONS'] as const) {
      await app.inject({ method, url, headers: method === 'OPTIONS' ? preflight : {} })
      // A preflight request has no route, even if its path has one.
      if (method !== 'OPTIONS') t.equal(log.at(-1)?.path, path, `${method} ${url.slice(0, 40)}`)
    }
  }
  t.notMatch(log.map(({ path }) => path).join(), /[^a-z/:_*…,.-]/)
})

t.test('logs no properties of an error that may hold user data', async (t) => {
  const { app, log } = await startApp(t)
  const detail = 'Failing row contains (m, +4915112345678)'
  app.store.stats = () =>
    Promise.reject(Object.assign(new Error('refused'), { code: '23514', detail }))
  await app.inject('/stats')
  t.match(log.at(-1), { cause: { type: 'Error', message: 'refused', stack: /./, code: '23514' } })
  t.notMatch(JSON.stringify(log), /4915/)
})
