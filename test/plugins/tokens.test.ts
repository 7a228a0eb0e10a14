import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { createTokenVerifier } from '../../src/plugins/tokens.ts'
import { post, startApp, wire } from '../service.ts'

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const TOKENS = { apiTokens: ['one', 'two'], metricsTokens: ['scraper'] }

t.test('messages and statistics require one of the API tokens', async (t) => {
  const { app } = await startApp(t, TOKENS)
  await post(app, wire({ message_id: 'm' }))
  for (const method of ['GET', 'HEAD'] as const) {
    for (const url of ['/messages', '/messages/m', '/messages/unknown', '/stats', '/stats/']) {
      const without = await app.inject({ method, url })
      t.equal(without.statusCode, 401, `${method} ${url}`)
      t.equal(without.headers['www-authenticate'], 'Bearer')
      t.equal(without.headers['cache-control'], 'no-store')
      if (method === 'GET') {
        t.strictSame(without.json(), { detail: 'a valid bearer token is required' })
      }

      const wrong = await app.inject({ method, url, headers: bearer('scraper') })
      t.equal(wrong.statusCode, 401)
      t.equal(wrong.headers['www-authenticate'], 'Bearer error="invalid_token"')

      for (const token of TOKENS.apiTokens) {
        const right = await app.inject({ method, url, headers: bearer(token) })
        t.equal(right.statusCode, url.endsWith('unknown') ? 404 : 200)
        t.notOk('www-authenticate' in right.headers)
      }
    }
  }
  t.equal((await app.inject('/messages?limit=x')).statusCode, 401, 'before validation')
})

t.test('the metrics require a metrics token', async (t) => {
  const { app } = await startApp(t, TOKENS)
  t.equal((await app.inject('/metrics')).statusCode, 401)
  t.equal((await app.inject({ url: '/metrics', headers: bearer('one') })).statusCode, 401)
  const { statusCode, body } = await app.inject({ url: '/metrics', headers: bearer('scraper') })
  t.equal(statusCode, 200)
  t.match(body, /^http_requests_total\{method="GET",path="\/metrics",status="401"\} 2$/m)
})

t.test('other routes require no token', async (t) => {
  const { app } = await startApp(t, TOKENS)
  t.equal((await post(app, wire({ message_id: 'm' }))).statusCode, 200)
  for (const url of ['/health/live', '/health/ready', '/docs', '/openapi.json']) {
    t.equal((await app.inject(url)).statusCode, 200, url)
  }
  t.equal((await app.inject('/nowhere')).statusCode, 404)
  t.equal((await app.inject({ method: 'DELETE', url: '/messages' })).statusCode, 405)
})

t.test('warns at start about each kind of route without tokens', async (t) => {
  const { app, log } = await startApp(t, { apiTokens: ['one'] })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.equal((await fetch(`${url}/metrics`)).status, 200)
  t.equal((await fetch(`${url}/stats`)).status, 401)
  t.match(
    log.filter(({ level }) => level === 'WARNING'),
    [{ msg: /^METRICS_TOKEN is not set/ }],
  )
  const { app: open, log: openLog } = await startApp(t)
  await open.listen({ host: '127.0.0.1', port: 0 })
  t.match(
    openLog.filter(({ level }) => level === 'WARNING'),
    [{ msg: /^API_TOKEN is not set/ }, { msg: /^METRICS_TOKEN is not set/ }],
  )
})

t.test('accepts one exact token and no other credentials', async (t) => {
  const verify = createTokenVerifier(['s3cret', 'other/one=='])
  for (const header of ['Bearer s3cret', 'bearer s3cret', 'BEARER  s3cret', 'Bearer other/one==']) {
    t.ok(verify(header), header)
  }
  for (const header of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    's3cret',
    'Bearers3cret',
    'Basic s3cret',
    'Bearer s3cre',
    'Bearer s3crets',
    'Bearer S3CRET',
    'Bearer s3cret, Bearer s3cret',
    'Bearer s3cret other/one==',
    'Bearer s3cret,other/one==',
    'Bearer s3cret\n',
    'Bearer\ts3cret',
    'Bearer s3cr\u00e9t',
    `Bearer ${'x'.repeat(10_000)}`,
  ]) {
    t.notOk(verify(header), String(header))
  }
  t.notOk(createTokenVerifier([])('Bearer undefined'))
})

t.test('uses the first of two Authorization headers', async (t) => {
  const { app } = await startApp(t, TOKENS)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  for (const [first, second, status] of [
    ['one', 'wrong', 200],
    ['wrong', 'one', 401],
  ]) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(
      `GET /stats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${first}\r\nAuthorization: Bearer ${second}\r\nConnection: close\r\n\r\n`,
    )
    const [response] = await once(socket, 'data')
    t.match(String(response), new RegExp(`^HTTP/1.1 ${status} `))
  }
})

t.test('OpenAPI documents which operations require a token', async (t) => {
  const { app } = await startApp(t, { apiTokens: ['one'] })
  const { paths, components } = (await app.inject('/openapi.json')).json()
  t.match(components.securitySchemes, { API_TOKEN: { type: 'http', scheme: 'bearer' } })
  t.notOk('METRICS_TOKEN' in components.securitySchemes)
  for (const [path, { get, post }] of Object.entries<Record<string, Record<string, object>>>(
    paths,
  )) {
    const isProtected = /^\/(messages|stats|rejected|feed|senders|status)/.test(path)
    const { security, responses } = get ?? post ?? {}
    t.strictSame(security, isProtected ? [{ API_TOKEN: [] }] : undefined, path)
    t.equal('401' in (responses ?? {}), isProtected || path === '/webhook', path)
  }
  const { app: open } = await startApp(t)
  t.notMatch(JSON.stringify((await open.inject('/openapi.json')).json()), /"security"/)
})
