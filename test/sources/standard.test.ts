import { createHmac } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import t, { type Test } from 'tap'
import type { App } from '../../src/app.ts'
import { parseConfig } from '../../src/config.ts'
import { createStandardVerifier, parseSecret } from '../../src/sources/standard.ts'
import { startApp, startService } from '../service.ts'

const KEY = Buffer.alloc(32, 'key')
const SECRET = `whsec_${KEY.toString('base64')}`
const FORMER = `whsec_${Buffer.alloc(24, 'former').toString('base64')}`

const { sources } = parseConfig({ STANDARD_WEBHOOKS_SECRET: `${SECRET} ${FORMER}` })

const start = (t: Test) => startApp(t, { sources })

const MESSAGE = { from: '+919876543210', to: '+14155550100', text: 'Hello ä😀' }

/** Returns the headers of a body as the official library signs it. */
function headersOf(body: string, { id = 'msg_1', at = new Date(), secret = SECRET } = {}) {
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  }
}

const post = (app: App, body: string | Buffer, headers: Record<string, string>) =>
  app.inject({ method: 'POST', url: '/webhook/standard', headers, payload: body })

t.test('stores a message that is the body, or data of an envelope', async (t) => {
  const { app, log } = await start(t)
  const bare = { message_id: 'a', ts: '2025-01-15T10:00:00Z', ...MESSAGE, type: 'image' }
  const data = { message_id: 'b', ts: '2025-01-15T10:00:01Z', ...MESSAGE, extra: [1] }
  const timestamp = '2025-01-15T10:00:02.5Z'
  for (const [id, body] of [
    ['msg_a', bare],
    ['msg_b', { type: 'message.created', timestamp, data }],
    ['msg_c', { type: 'message.created', timestamp, data: MESSAGE }],
    ['msg_d', { ts: '2025-01-15T10:00:03Z', ...MESSAGE }],
  ] as const) {
    const json = JSON.stringify(body)
    const response = await post(app, json, headersOf(json, { id }))
    t.equal(response.statusCode, 200, response.body)
  }
  t.match(log.at(-1), { message_id: 'msg_d', dup: false, result: 'created' })
  const query = { order: 'asc' as const, limit: 9, offset: 0, details: true }
  const { data: stored } = await app.store.page(query)
  const common = { from_msisdn: MESSAGE.from, to_msisdn: MESSAGE.to, text: MESSAGE.text }
  t.match(stored, [
    {
      message_id: 'a',
      type: 'image',
      source: 'standard',
      payload: JSON.stringify(bare),
      ...common,
    },
    { message_id: 'b', type: 'text', payload: JSON.stringify(data), ...common },
    { message_id: 'msg_c', ts: timestamp, payload: JSON.stringify(MESSAGE), ...common },
    { message_id: 'msg_d', ts: '2025-01-15T10:00:03Z', ...common },
  ])
})

t.test('counts a retry with another timestamp as a duplicate', async (t) => {
  const { app, log } = await start(t)
  const body = JSON.stringify({ timestamp: '2025-01-15T10:00:00Z', data: MESSAGE })
  for (const seconds of [-290, 0, 290]) {
    const headers = headersOf(body, { at: new Date(Date.now() + seconds * 1000) })
    t.equal((await post(app, body, headers)).statusCode, 200)
  }
  t.match(
    log.map(({ result }) => result),
    ['created', 'duplicate', 'duplicate'],
  )
})

t.test('rejects a body that is not a message, as /webhook does', async (t) => {
  const { app } = await start(t)
  for (const [value, detail] of [
    [{ data: { ...MESSAGE, from: '1' } }, [{ loc: ['body', 'ts'] }, { loc: ['body', 'from'] }]],
    [{ timestamp: 'now', data: MESSAGE }, [{ loc: ['body', 'ts'] }]],
    [[], [{ loc: ['body'] }]],
    ['text', [{ loc: ['body'] }]],
  ] as const) {
    const body = JSON.stringify(value)
    const response = await post(app, body, headersOf(body))
    t.equal(response.statusCode, 422)
    t.match(response.json(), { detail })
  }
  const zipped = { ...headersOf('{}'), 'content-encoding': 'gzip' }
  t.equal((await post(app, '{}', zipped)).statusCode, 415)
  t.equal((await post(app, ' '.repeat(80 * 1024 + 1), {})).statusCode, 413)
})

t.test('accepts any of several signatures, by any of the secrets', async (t) => {
  const { app } = await start(t)
  const body = JSON.stringify({ ts: '2025-01-15T10:00:00Z', ...MESSAGE })
  const { 'webhook-signature': signature, ...rest } = headersOf(body)
  const former = headersOf(body, { secret: FORMER })['webhook-signature']
  const other = headersOf(body, { secret: `whsec_${'YWFh'.repeat(8)}` })['webhook-signature']
  const v1a = `v1a,${Buffer.alloc(64).toString('base64')}`
  for (const [signatures, status] of [
    [signature, 200],
    [former, 200],
    [`${other} ${v1a} ${former}`, 200],
    [other, 401],
    [v1a, 401],
    [signature.replace('v1,', 'v1a,'), 401],
    [signature.replace('v1,', ''), 401],
    [`${signature}=`, 401],
    ['', 401],
  ] as const) {
    const response = await post(app, body, { ...rest, 'webhook-signature': signatures })
    t.equal(response.statusCode, status, signatures)
  }
  const scrape = (await app.inject('/metrics')).body
  t.match(scrape, 'webhook_signatures_total{source="standard",key="current"} 1')
  t.match(scrape, 'webhook_signatures_total{source="standard",key="previous"} 2')
})

t.test('rejects timestamps more than five minutes away, and other contents', async (t) => {
  const { app } = await start(t)
  const body = JSON.stringify({ ts: '2025-01-15T10:00:00Z', ...MESSAGE })
  for (const seconds of [-302, 302]) {
    const headers = headersOf(body, { at: new Date(Date.now() + seconds * 1000) })
    t.equal((await post(app, body, headers)).statusCode, 401)
  }
  const headers = headersOf(body)
  for (const [name, value] of [
    ['webhook-id', 'msg_2'],
    ['webhook-id', ''],
    ['webhook-timestamp', `${headers['webhook-timestamp']}.0`],
    ['webhook-timestamp', ` ${Number(headers['webhook-timestamp']) + 1}`],
    ['webhook-timestamp', ''],
  ] as const) {
    t.equal((await post(app, body, { ...headers, [name]: value })).statusCode, 401, name)
  }
  t.equal((await post(app, body.replace('ä', 'ö'), headers)).statusCode, 401)
  t.equal((await post(app, body, {})).statusCode, 401)
  t.equal((await app.store.stats()).total_messages, 0)
})

t.test('verifies raw bytes, and ids beyond ASCII', async (t) => {
  const now = 1_614_265_330
  const body = Buffer.from([0xff, 0x00, 0xfe])
  const id = 'msg ä😀'
  const content = Buffer.concat([Buffer.from(`${id}.${now}.`), body])
  const signature = `v1,${createHmac('sha256', KEY).update(content).digest('base64')}`
  const headers = {
    'webhook-id': Buffer.from(id).toString('latin1'),
    'webhook-timestamp': String(now),
    'webhook-signature': signature,
  }
  t.equal(createStandardVerifier([KEY], 300)(body, headers, now * 1000), 'current')
})

t.test('stores ids that are not UTF-8 as different messages', async (t) => {
  const { app } = await start(t)
  const body = JSON.stringify({ ts: '2025-01-15T10:00:00Z', ...MESSAGE })
  const timestamp = String(Math.floor(Date.now() / 1000))
  for (const id of ['\xe4', '\xf6']) {
    const hmac = createHmac('sha256', KEY).update(`${id}.${timestamp}.`, 'latin1').update(body)
    const headers = {
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${hmac.digest('base64')}`,
    }
    t.equal((await post(app, body, headers)).statusCode, 200)
  }
  const { data } = await app.store.page({ order: 'asc', limit: 9, offset: 0 })
  t.strictSame(
    data.map(({ message_id }) => message_id),
    ['ä', 'ö'],
  )
})

t.test('passes the vectors of the official libraries', async (t) => {
  // https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries: the same in every language.
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
  const now = 1_614_265_330
  const body = Buffer.from('{"test": 2432232314}')
  const right = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
  const key = parseSecret(secret)
  t.ok(key)
  t.same(parseSecret(secret.replace('whsec_', '')), key, 'with or without the prefix')
  const verify = createStandardVerifier(key ? [key] : [], 300)
  const other = 'v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc='
  const headers = { 'webhook-id': id, 'webhook-timestamp': String(now), 'webhook-signature': right }
  const used = (changed: object, at = now) => verify(body, { ...headers, ...changed }, at * 1000)
  t.equal(used({}), 'current')
  t.equal(
    used({ 'webhook-signature': `${other} v2,${right.slice(3)} ${right} ${other}` }),
    'current',
  )
  t.equal(used({ 'webhook-signature': other }), undefined)
  t.equal(used({ 'webhook-signature': right.replace('v1,', 'v2,') }), undefined)
  t.equal(used({ 'webhook-id': undefined }), undefined)
  t.equal(used({ 'webhook-timestamp': undefined }), undefined)
  t.equal(used({ 'webhook-signature': undefined }), undefined)
  t.equal(used({}, now + 300), 'current')
  t.equal(used({}, now + 301), undefined, 'too old')
  t.equal(used({}, now - 301), undefined, 'too new')
})

t.test('accepts a post that the official library signs', async (t) => {
  const service = await startService(t, {
    WEBHOOK_SECRET: '',
    STANDARD_WEBHOOKS_SECRET: SECRET,
    META_APP_SECRET: 'app',
  })
  const body = JSON.stringify({
    type: 'message',
    timestamp: new Date().toISOString(),
    data: MESSAGE,
  })
  const response = await fetch(`${service.url}/webhook/standard`, {
    method: 'POST',
    headers: headersOf(body),
    body,
  })
  t.equal(response.status, 200)
  const { data } = (await (await fetch(`${service.url}/messages?include=source`)).json()) as {
    data: unknown
  }
  t.match(data, [{ message_id: 'msg_1', source: 'standard' }])
  const announced = 'sources: meta at /webhook/meta, standard at /webhook/standard'
  t.ok(service.log.some(({ msg }) => msg === announced))
})
