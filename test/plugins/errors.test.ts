import t from 'tap'
import { startApp } from '../service.ts'

t.test('returns 404 for an unknown path with any method and body', async (t) => {
  const { app } = await startApp(t)
  for (const request of [
    { url: '/' },
    { url: '/nowhere?q=1' },
    { url: '/docs/static/nowhere' },
    {
      method: 'POST',
      url: '/nowhere',
      payload: '{',
      headers: { 'content-type': 'application/json' },
    },
    { method: 'POST', url: '/nowhere', payload: 'x'.repeat(2_000_000) },
    { method: 'PUT', url: '/nowhere', payload: 'x', headers: { 'content-type': '/' } },
    { method: 'PROPFIND', url: '/nowhere' },
  ] as const) {
    const response = await app.inject(request)
    t.equal(response.statusCode, 404)
    t.strictSame(response.json(), { detail: 'not found' })
    t.ok(response.headers['x-request-id'])
  }
})

t.test('returns 405 with Allow for an unsupported method', async (t) => {
  const { app } = await startApp(t)
  for (const [method, url, allow] of [
    ['GET', '/webhook', 'POST'],
    ['HEAD', '/webhook', 'POST'],
    ['PUT', '/webhook', 'POST'],
    ['OPTIONS', '/webhook', 'POST'],
    ['POST', '/messages', 'GET, HEAD'],
    ['DELETE', '/stats', 'GET, HEAD'],
    ['POST', '/health/live', 'GET, HEAD'],
    ['PATCH', '/health/ready', 'GET, HEAD'],
    ['POST', '/metrics', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
    ['PROPFIND', '/messages', 'GET, HEAD'],
  ] as const) {
    // The types of inject have fewer methods than HTTP.
    const response = await app.inject({ method: method as 'GET', url })
    t.equal(response.statusCode, 405, `${method} ${url}`)
    t.equal(response.headers.allow, allow)
    if (method !== 'HEAD') t.match(response.json(), { detail: /^method not allowed/ })
  }
})

t.test('returns 400 for an invalid URL path', async (t) => {
  const { app, log } = await startApp(t)
  const response = await app.inject('/%zz')
  t.equal(response.statusCode, 400)
  t.strictSame(response.json(), { detail: 'the path is not a valid URL path' })
  t.match(log, [{ method: 'GET', path: '/…zz', status: 400 }])
  t.equal(response.headers['x-request-id'], log[0]?.request_id)
})

t.test('ignores a trailing slash', async (t) => {
  const { app } = await startApp(t)
  t.equal((await app.inject('/stats/')).statusCode, 200)
})
