import t from 'tap'
import { startApp } from '../service.ts'

t.test('every response has the security headers', async (t) => {
  const { app } = await startApp(t)
  for (const request of [
    { url: '/messages' },
    { url: '/messages/unknown' },
    { url: '/messages?limit=x' },
    { url: '/stats' },
    { method: 'HEAD', url: '/stats' },
    { method: 'POST', url: '/stats' },
    { url: '/metrics' },
    { url: '/health/live' },
    { url: '/openapi.json' },
    { url: '/nowhere' },
    { url: '/%zz' },
  ] as const) {
    const { headers } = await app.inject(request)
    t.match(
      headers,
      {
        'cache-control': 'no-store',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
        'cross-origin-resource-policy': 'same-origin',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
      },
      request.url,
    )
  }
})

t.test('a 503 has the security headers', async (t) => {
  const { app } = await startApp(t)
  await app.store.close()
  for (const url of ['/messages', '/messages/m', '/stats']) {
    const { statusCode, headers } = await app.inject(url)
    t.equal(statusCode, 503)
    t.equal(headers['cache-control'], 'no-store')
  }
})

t.test('the documentation has a policy that allows its own files only', async (t) => {
  const { app } = await startApp(t)
  const page = await app.inject('/docs')
  t.match(page.headers['content-security-policy'], /^default-src 'none'; script-src 'self'; /)
  t.equal(page.headers['x-frame-options'], 'DENY')
  t.notMatch(page.body, /<script(?![^>]* src=)|<[^>]* on\w+=|javascript:/, 'no inline scripts')
  const script = await app.inject('/docs/static/swagger-ui-bundle.js')
  t.match(script.headers['cache-control'], /max-age/, 'static files may be cached')
  const { etag } = script.headers
  const again = await app.inject({
    url: '/docs/static/swagger-ui-bundle.js',
    headers: { 'if-none-match': String(etag) },
  })
  t.equal(again.statusCode, 304)
})
