import { createHash } from 'node:crypto'
import t from 'tap'
import { startApp } from '../service.ts'

const PAGES = [
  '/dashboard',
  '/dashboard/messages?q=a',
  '/dashboard/messages/m1',
  '/dashboard/rejected',
  '/dashboard/rejected/1',
]

/** Returns the addresses of the files that a page loads. */
const filesOf = (html: string) => {
  const links = [...html.matchAll(/(?:src|href)="([^"]+)"|:"(\/[^"]+)"/g)]
  return new Set(links.map(([, link, module]) => String(link ?? module)))
}

t.test('every address serves the page, which is validated each time', async (t) => {
  const { app } = await startApp(t)
  for (const url of PAGES) {
    const { statusCode, headers, body } = await app.inject(url)
    t.equal(statusCode, 200, url)
    t.match(headers, { 'content-type': /^text\/html/, 'cache-control': 'no-cache' })
    t.match(body, /^<!doctype html>/)
    const again = await app.inject({ url, headers: { 'if-none-match': String(headers.etag) } })
    t.equal(again.statusCode, 304)
    t.equal(again.body, '')
    t.equal(again.headers.etag, headers.etag)
  }
  t.equal((await app.inject('/dashboard/unknown')).statusCode, 404)
  t.equal((await app.inject({ method: 'POST', url: '/dashboard' })).statusCode, 405)
})

t.test('the policy allows files of the service and the import map only', async (t) => {
  const { app } = await startApp(t)
  const { headers, body } = await app.inject('/dashboard')
  const policy = String(headers['content-security-policy'])
  t.match(policy, /^default-src 'none'; /)
  t.notMatch(policy, /unsafe|http|\*/)
  const [, map = ''] = /<script type="importmap">(.*?)<\/script>/.exec(body) ?? []
  t.match(policy, `'sha256-${createHash('sha256').update(map).digest('base64')}'`)
  t.equal(headers['x-frame-options'], 'DENY')
  t.equal(headers['referrer-policy'], 'no-referrer')
})

t.test(
  'files have permanent addresses, and are compressed for clients that accept it',
  async (t) => {
    const { app } = await startApp(t)
    const { body } = await app.inject('/dashboard')
    const files = [...filesOf(body)].filter((link) => link !== '/docs')
    t.ok(files.length > 20)
    for (const url of files) {
      const { statusCode, headers } = await app.inject(url)
      t.equal(statusCode, 200, url)
      t.match(headers, {
        'cache-control': 'public, max-age=31536000, immutable',
        'content-type': /^(text\/(javascript|css); charset=utf-8|image\/svg\+xml)$/,
        'x-content-type-options': 'nosniff',
        vary: 'accept-encoding',
      })
      const gzip = await app.inject({ url, headers: { 'accept-encoding': 'gzip, br' } })
      t.equal(gzip.headers['content-encoding'], 'gzip')
    }
    const outdated = files[0]?.replace(/[0-9a-f]{16}/, '0000000000000000') ?? ''
    t.equal((await app.inject(outdated)).statusCode, 404)
    t.equal((await app.inject(files[0]?.replace(/[^/]+$/, 'index.html') ?? '')).statusCode, 404)
  },
)

t.test('the page needs no token', async (t) => {
  const { app } = await startApp(t, { apiTokens: ['secret'] })
  t.equal((await app.inject('/dashboard')).statusCode, 200)
})

t.test('DASHBOARD=false serves nothing of it', async (t) => {
  const { app } = await startApp(t, { dashboard: false })
  for (const url of [...PAGES, '/dashboard/assets/0/main.js']) {
    t.equal((await app.inject(url)).statusCode, 404, url)
  }
})
