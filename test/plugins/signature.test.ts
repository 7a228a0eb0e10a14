import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createVerifier } from '../../src/plugins/signature.ts'
import { post, SECRET, sign, startApp, wire } from '../helper.ts'

const verify = createVerifier(SECRET)

t.test('takes what openssl makes, in either case, with or without its prefix', async (t) => {
  // printf %s hello | openssl dgst -sha256 -hmac testsecret
  const hex = createHmac('sha256', 'testsecret').update('hello').digest('hex')
  for (const header of [hex, hex.toUpperCase(), `sha256=${hex}`, `sha256=${hex.toUpperCase()}`]) {
    t.ok(verify(Buffer.from('hello'), header), header)
  }
})

t.test('refuses whatever is not exactly the signature', async (t) => {
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

t.test('takes the signature of any bytes, and no other', async () => {
  const bytes = fc.uint8Array({ maxLength: 200 })
  fc.assert(
    fc.property(bytes, bytes, fc.nat(63), (body, other, at) => {
      const hex = sign(body)
      const wrong = hex[at] === '0' ? '1' : '0'
      const altered = hex.slice(0, at) + wrong + hex.slice(at + 1)
      const same = Buffer.from(body).equals(Buffer.from(other))
      return verify(body, hex) && !verify(body, altered) && verify(other, hex) === same
    }),
  )
})

t.test('comes before everything in the body and whatever it calls itself', async (t) => {
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
    const answer = await post(app, payload, headers)
    t.equal(answer.statusCode, 401)
    t.strictSame(answer.json(), { detail: 'invalid signature' })
  }
  t.equal((await app.store.stats()).total_messages, 0)
})

t.test('is over the bytes as they were sent', async (t) => {
  const { app } = await startApp(t)
  const spaced = `{ "message_id" : "a",  "from":"+1","to":"+2","ts":"2025-01-15T10:00:00Z", "text":"caf\\u00e9 é 👍" }\n`
  t.equal((await post(app, spaced)).statusCode, 200)
  const { data } = await app.store.page({ order: 'asc', limit: 1, offset: 0 })
  t.equal(data[0]?.text, 'café é 👍')
})
