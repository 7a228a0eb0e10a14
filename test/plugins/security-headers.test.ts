import t from 'tap'
import { startApp } from '../service.ts'

t.test('no answer is kept, framed, guessed at or told of to others', async (t) => {
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

t.test('what breaks off is not kept either', async (t) => {
  const { app } = await startApp(t)
  await app.store.close()
  for (const url of ['/messages', '/messages/m', '/stats']) {
    const { statusCode, headers } = await app.inject(url)
    t.equal(statusCode, 503)
    t.equal(headers['cache-control'], 'no-store')
  }
})

t.test('the documentation may load its own files, and no others', async (t) => {
  const { app } = await startApp(t)
  const page = await app.inject('/docs')
  t.match(page.headers['content-security-policy'], /^default-src 'none'; script-src 'self'; /)
  t.equal(page.headers['x-frame-options'], 'DENY')
  t.notMatch(page.body, /<script(?![^>]* src=)|<[^>]* on\w+=|javascript:/, 'no script of its own')
  const script = await app.inject('/docs/static/swagger-ui-bundle.js')
  t.match(script.headers['cache-control'], /max-age/, 'which browsers may keep')
  const { etag } = script.headers
  const again = await app.inject({
    url: '/docs/static/swagger-ui-bundle.js',
    headers: { 'if-none-match': String(etag) },
  })
  t.equal(again.statusCode, 304)
})
