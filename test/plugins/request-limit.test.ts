import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { Connection } from '../connection.ts'
import { sign, startApp, wire } from '../service.ts'

const BODY = wire({ message_id: 'm' })

const PREFLIGHT = { origin: 'https://page.example', 'access-control-request-method': 'GET' }

t.test('returns 429 to every request over the limit except health probes', async (t) => {
  const { app, log } = await startApp(t, {
    maxRequestsPerMinute: 1,
    trustProxy: 1,
    corsOrigins: [PREFLIGHT.origin],
  })
  const body = { 'x-signature': sign(BODY) }
  const requests: [status: number, method: string, url: string, headers?: object][] = [
    [200, 'GET', '/stats'],
    [200, 'GET', '/metrics'],
    [200, 'POST', '/webhook', body],
    [401, 'POST', '/webhook'],
    [200, 'GET', '/docs/static/swagger-ui.css'],
    [200, 'GET', '/openapi.json'],
    [404, 'GET', '/nowhere'],
    [404, 'OPTIONS', '/nowhere'],
    [405, 'DELETE', '/stats'],
    [405, 'POST', '/health/live'],
    [422, 'GET', '/messages?limit=x'],
    [400, 'GET', '/%zz'],
    [414, 'GET', `/messages/${'x'.repeat(7000)}`],
    [204, 'OPTIONS', '/stats', PREFLIGHT],
    [204, 'OPTIONS', '/nowhere', PREFLIGHT],
  ]
  for (const [n, [status, method, url, headers]] of requests.entries()) {
    const from = { 'x-forwarded-for': `192.0.2.${n}` }
    const send = () =>
      app.inject({
        // The types of inject have fewer methods than HTTP.
        method: method as 'GET',
        url,
        headers: { ...from, ...headers },
        ...(method === 'POST' ? { payload: Buffer.from(BODY) } : {}),
      })
    const name = `${method} ${url.slice(0, 30)}`
    t.equal((await send()).statusCode, status, name)
    const rejected = await send()
    t.equal(rejected.statusCode, 429, name)
    t.strictSame(rejected.json(), { detail: 'too many requests from this address' }, name)
    t.ok(Number(rejected.headers['retry-after']) >= 1, name)
    t.match(log.at(-1), { status: 429 }, name)
    t.equal(rejected.headers['cache-control'], url === '/webhook' ? undefined : 'no-store', name)
    const other = await app.inject({ url: '/stats', headers: from })
    t.equal(other.statusCode, 429, `${name} counts with other requests`)
    for (const probe of ['/health/live', '/health/ready']) {
      t.equal((await app.inject({ url: probe, headers: from })).statusCode, 200, probe)
    }
  }
  t.ok(log.some(({ status, result }) => status === 429 && result === 'error'))

  const { paths } = app.swagger()
  t.ok('429' in (paths?.['/stats']?.get?.responses ?? {}))
  t.notOk('429' in (paths?.['/health/live']?.get?.responses ?? {}))
})

t.test('a page of an allowed origin may read a 429', async (t) => {
  const { app } = await startApp(t, { maxRequestsPerMinute: 1, corsOrigins: [PREFLIGHT.origin] })
  const send = () => app.inject({ url: '/stats', headers: { origin: PREFLIGHT.origin } })
  await send()
  const rejected = await send()
  t.equal(rejected.statusCode, 429)
  t.equal(rejected.headers['access-control-allow-origin'], PREFLIGHT.origin)
})

t.test('counts input rejected by the HTTP parser toward the limit of its address', async (t) => {
  const { app, log } = await startApp(t, { maxRequestsPerMinute: 3 })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  for (const [request, status] of [
    ['NONSENSE\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n', 405],
    ['NONSENSE\r\n\r\n', 429],
    ['CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n', 429],
  ] as const) {
    const connection = await Connection.to(url)
    t.teardown(() => connection.close())
    connection.send(request)
    const response = await connection.readResponse()
    t.equal(response.status, status)
    t.match(log.at(-1), { status })
    if (status === 429) t.ok(Number(response.headers['retry-after']) >= 1)
  }
  t.equal((await fetch(`${url}/stats`)).status, 429)
  t.equal((await fetch(`${url}/health/live`)).status, 200)
})

t.test('rejects a request over the limit before its body is read', async (t) => {
  const { app } = await startApp(t, { maxRequestsPerMinute: 1 })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  await fetch(`${url}/stats`)
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write('POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{')
  const [response] = await once(socket, 'data')
  t.match(String(response), /^HTTP\/1.1 429 /)
})

t.test('has no limit on requests by default', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 99_999 })
  const responses = await Promise.all(Array.from({ length: 1200 }, () => app.inject('/stats')))
  t.ok(responses.every(({ statusCode }) => statusCode === 200))
  t.notMatch(Object.keys(responses[0]?.headers ?? {}).join(), /ratelimit/)
})
