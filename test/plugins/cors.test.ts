import t from 'tap'
import { startApp } from '../service.ts'

const ORIGIN = 'https://dashboard.example'
const CORS = { corsOrigins: ['http://localhost:3000', ORIGIN] }

const preflight = (origin: string, method = 'GET') => ({
  origin,
  'access-control-request-method': method,
  'access-control-request-headers': 'authorization',
})

t.test('is off by default', async (t) => {
  const { app } = await startApp(t)
  const response = await app.inject({ url: '/stats', headers: { origin: ORIGIN } })
  t.equal(response.statusCode, 200)
  t.notMatch(Object.keys(response.headers).join(), /access-control|vary/)
  const denied = await app.inject({
    method: 'OPTIONS',
    url: '/stats',
    headers: preflight(ORIGIN),
  })
  t.equal(denied.statusCode, 405)
})

t.test('a page of an allowed origin may read responses and errors', async (t) => {
  const { app } = await startApp(t, { ...CORS, apiTokens: ['token'] })
  for (const origin of CORS.corsOrigins) {
    for (const url of ['/stats', '/messages?limit=x', '/messages/unknown', '/nowhere', '/docs']) {
      for (const authorization of ['Bearer token', 'Bearer wrong']) {
        const { headers } = await app.inject({ url, headers: { origin, authorization } })
        t.equal(headers['access-control-allow-origin'], origin, url)
        t.equal(
          headers['access-control-expose-headers'],
          'Content-Disposition, Link, Retry-After, X-Request-ID',
        )
        t.equal(headers['access-control-allow-credentials'], undefined)
        t.equal(headers.vary, 'Origin')
      }
    }
  }
})

t.test('a page of another origin may not read responses', async (t) => {
  const { app } = await startApp(t, CORS)
  for (const origin of [
    'https://other.example',
    'http://dashboard.example',
    'https://dashboard.example:8443',
    'https://dashboard.example.evil.example',
    'https://DASHBOARD.example',
    'null',
    '',
  ]) {
    for (const method of ['GET', 'OPTIONS'] as const) {
      const { headers } = await app.inject({ method, url: '/stats', headers: preflight(origin) })
      t.equal(headers['access-control-allow-origin'], undefined, `${method} ${origin}`)
      t.equal(headers.vary, 'Origin', 'caches must not reuse a response for another origin')
    }
  }
})

t.test('responds to a preflight without a token', async (t) => {
  const { app, log } = await startApp(t, { ...CORS, apiTokens: ['token'] })
  for (const url of ['/messages', '/messages/m', '/stats', '/webhook', '/nowhere/4915112345678']) {
    const response = await app.inject({ method: 'OPTIONS', url, headers: preflight(ORIGIN) })
    t.equal(response.statusCode, 204, url)
    t.equal(response.body, '')
    t.match(response.headers, {
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-methods': 'GET, HEAD',
      'access-control-allow-headers': 'Authorization, X-Request-ID',
      'access-control-max-age': '600',
    })
  }
  t.match(log.at(-1), { method: 'OPTIONS', path: '/nowhere/…', status: 204 })
  const { body } = await app.inject('/metrics')
  t.match(body, /^http_requests_total\{method="OPTIONS",path="unmatched",status="204"\} 1$/m)
})

t.test('other OPTIONS requests are handled as without CORS', async (t) => {
  const { app } = await startApp(t, CORS)
  for (const headers of [{}, { origin: ORIGIN }]) {
    const response = await app.inject({ method: 'OPTIONS', url: '/messages', headers })
    t.equal(response.statusCode, 405)
    t.equal(response.headers.allow, 'GET, HEAD')
    const unknown = await app.inject({ method: 'OPTIONS', url: '/nowhere', headers })
    t.equal(unknown.statusCode, 404)
    t.strictSame(unknown.json(), { detail: 'not found' })
  }
  t.equal((await app.inject({ method: 'DELETE', url: '/nowhere' })).statusCode, 404)
})
