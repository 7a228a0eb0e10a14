import { createHmac } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { createVerifier } from '../../src/sources/hmac.ts'
import { folderOf, post, SECRET, sign, startApp, startService, wire } from '../service.ts'

const verify = createVerifier(SECRET)

t.test('accepts a signature in upper or lower case, with or without its prefix', async (t) => {
  // printf %s hello | openssl dgst -sha256 -hmac testsecret
  const hex = createHmac('sha256', 'testsecret').update('hello').digest('hex')
  for (const header of [hex, hex.toUpperCase(), `sha256=${hex}`, `sha256=${hex.toUpperCase()}`]) {
    t.ok(verify(Buffer.from('hello'), header), header)
  }
})

t.test('rejects every other header', async (t) => {
  const hex = sign('hello')
  for (const header of [
    undefined,
    '',
    'sha256=',
    hex.slice(1),
    `${hex}0`,
    `${hex}, junk`,
    `${hex}, ${hex}`,
    `${hex} `,
    `${hex}\n`,
    `sha1=${hex}`,
    `sha256=sha256=${hex}`,
    `g${hex.slice(1)}`,
    sign('hello', 'other secret'),
    sign('hello '),
    'é'.repeat(64),
    [hex, hex],
  ]) {
    t.notOk(verify(Buffer.from('hello'), header), String(header))
  }
})

t.test('accepts the signature of any bytes, and no other', async () => {
  const bytes = fc.uint8Array({ maxLength: 200 })
  fc.assert(
    fc.property(bytes, bytes, fc.nat(63), (body, other, at) => {
      const hex = sign(body)
      const wrong = hex[at] === '0' ? '1' : '0'
      const modified = hex.slice(0, at) + wrong + hex.slice(at + 1)
      const same = Buffer.from(body).equals(Buffer.from(other))
      return verify(body, hex) && !verify(body, modified) && Boolean(verify(other, hex)) === same
    }),
  )
})

t.test('returns 401 before it checks the media type and the body', async (t) => {
  const { app } = await startApp(t)
  const body = wire({ message_id: 'a' })
  for (const [payload, headers] of [
    [body, {}],
    [body, { 'x-signature': '' }],
    [body, { 'x-signature': sign(body, 'other secret') }],
    [body, { 'x-signature': `${sign(body)}, ${sign(body)}` }],
    ['{', { 'x-signature': sign('{}') }],
    ['', {}],
    [Buffer.from([0xff, 0xfe]), {}],
    ['<xml/>', { 'content-type': 'application/xml' }],
    ['x=1', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['x', { 'content-type': 'text/plain' }],
  ] as const) {
    const response = await post(app, payload, headers)
    t.equal(response.statusCode, 401)
    t.strictSame(response.json(), { detail: 'invalid signature' })
  }
  t.equal((await app.store.stats()).total_messages, 0)
})

t.test('verifies the signature over the raw bytes of the body', async (t) => {
  const { app } = await startApp(t)
  const spaced = `{ "message_id" : "a",  "from":"+1","to":"+2","ts":"2025-01-15T10:00:00Z", "text":"caf\\u00e9 é 👍" }\n`
  t.equal((await post(app, spaced)).statusCode, 200)
  const { data } = await app.store.page({ order: 'asc', limit: 1, offset: 0 })
  t.equal(data[0]?.text, 'café é 👍')
})

t.test('returns which of two secrets made the signature', async (t) => {
  const verifyBoth = createVerifier('new', 'old')
  const body = Buffer.from('hello')
  t.equal(verifyBoth(body, sign('hello', 'new')), 'current')
  t.equal(verifyBoth(body, sign('hello', 'old')), 'previous')
  t.equal(verifyBoth(body, sign('hello', 'older')), undefined)
  t.equal(createVerifier('new')(body, sign('hello', 'old')), undefined)
})

/**
 * Posts a message.
 * @returns the status, and the numbers of signatures by the current and the previous secret.
 */
async function postWith(url: string, id: string, secret: string) {
  const body = wire({ message_id: id })
  const { status } = await fetch(`${url}/webhook`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-signature': sign(body, secret) },
    body,
  })
  const scrape = await (await fetch(`${url}/metrics`)).text()
  const used = (key: string) =>
    Number(
      new RegExp(`^webhook_signatures_total\\{source="webhook",key="${key}"\\} (\\d+)$`, 'm').exec(
        scrape,
      )?.[1],
    )
  return [status, used('current'), used('previous')]
}

t.test('rotating the secret as documented loses no message', async (t) => {
  const folder = folderOf(t)
  writeFileSync(`${folder}/first`, 'first secret\n')
  writeFileSync(`${folder}/second`, 'second secret\n')
  const before = await startService(t, {
    WEBHOOK_SECRET: '',
    WEBHOOK_SECRET_FILE: `${folder}/first`,
  })
  t.same(await postWith(before.url, 'a', 'first secret'), [200, 1, 0])
  t.same(await postWith(before.url, 'b', 'second secret'), [401, 1, 0])
  before.process.kill('SIGTERM')
  await before.ended

  const both = await startService(t, {
    WEBHOOK_SECRET: 'second secret',
    WEBHOOK_SECRET_PREVIOUS_FILE: `${folder}/first`,
  })
  t.same(await postWith(both.url, 'b', 'first secret'), [200, 0, 1])
  t.same(await postWith(both.url, 'c', 'second secret'), [200, 1, 1])
  t.same(await postWith(both.url, 'c', 'third secret'), [401, 1, 1])
  both.process.kill('SIGTERM')
  await both.ended

  const after = await startService(t, {
    WEBHOOK_SECRET: '',
    WEBHOOK_SECRET_FILE: `${folder}/second`,
  })
  t.same(await postWith(after.url, 'd', 'first secret'), [401, 0, 0])
  t.same(await postWith(after.url, 'd', 'second secret'), [200, 1, 0])
  t.match(await (await fetch(`${after.url}/stats`)).json(), { total_messages: 4 })
  for (const { log } of [before, both, after]) t.notMatch(JSON.stringify(log), / secret"/)
})
