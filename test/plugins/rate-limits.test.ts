import t from 'tap'
import type { App } from '../../src/app.ts'
import { post, sign, startApp, wire } from '../service.ts'

const BODY = wire({ message_id: 'm' })

/** Posts a message from an address with a signature, by default an invalid one. */
const postFrom = (app: App, remoteAddress: string, signature = 'wrong', forwarded?: string) =>
  app.inject({
    method: 'POST',
    url: '/webhook',
    remoteAddress,
    headers: {
      'x-signature': signature,
      ...(forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }),
    },
    payload: Buffer.from(BODY),
  })

/** Sends posts with an invalid signature in sequence. @returns their statuses. */
async function postInvalid(app: App, times: number, address: string, forwarded?: string) {
  const statuses: number[] = []
  for (let n = 0; n < times; n++) {
    statuses.push((await postFrom(app, address, 'wrong', forwarded)).statusCode)
  }
  return statuses
}

t.test('returns 429 to an address with too many invalid signatures', async (t) => {
  const { app, log } = await startApp(t, { maxFailuresPerMinute: 3 })
  t.same(await postInvalid(app, 5, '192.0.2.1'), [401, 401, 401, 429, 429])
  const rejected = await postFrom(app, '192.0.2.1')
  t.strictSame(rejected.json(), { detail: 'too many failed attempts from this address' })
  t.ok(
    Number(rejected.headers['retry-after']) >= 1 && Number(rejected.headers['retry-after']) <= 60,
  )
  t.match(log.at(-1), {
    level: 'ERROR',
    status: 429,
    result: 'invalid_signature',
    client: '192.0.2.1',
  })
  const { body } = await app.inject('/metrics')
  t.match(body, /^webhook_requests_total\{result="invalid_signature"\} 6$/m)
  t.match(body, /^webhook_requests_total\{result="error"\} 0$/m)

  const valid = await postFrom(app, '192.0.2.1', sign(BODY))
  t.equal(valid.statusCode, 200, 'a valid signature from the same address')
  t.notOk('client' in (log.at(-2) ?? {}))
  t.same(await postInvalid(app, 1, '192.0.2.2'), [401], 'another address')
})

t.test('counts invalid tokens and signatures together, and accepts valid ones', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 2, apiTokens: ['token'] })
  const read = (authorization?: string) =>
    app.inject({ url: '/stats', headers: authorization === undefined ? {} : { authorization } })
  t.equal((await read()).statusCode, 401)
  t.equal((await post(app, BODY, {})).statusCode, 401)
  const rejected = await read('Bearer wrong')
  t.equal(rejected.statusCode, 429)
  t.ok(Number(rejected.headers['retry-after']) >= 1)
  t.equal((await read('Bearer token')).statusCode, 200)
  t.equal((await post(app, BODY)).statusCode, 200)
})

t.test('0 disables the limit', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 0 })
  t.same(new Set(await postInvalid(app, 400, '192.0.2.1')), new Set([401]))
})

t.test('the default limit is 300', async (t) => {
  const { app } = await startApp(t)
  t.same(
    (await postInvalid(app, 302, '192.0.2.1')).map((status, n) => status === (n < 300 ? 401 : 429)),
    Array.from({ length: 302 }, () => true),
  )
})

t.test('counts IPv6 by /64, and IPv4-mapped addresses as IPv4', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1 })
  t.same(await postInvalid(app, 1, '2001:db8:1:2::1'), [401])
  t.same(await postInvalid(app, 1, '2001:db8:1:2:ffff:ffff:ffff:ffff'), [429])
  t.same(await postInvalid(app, 1, '2001:db8:1:3::1'), [401])
  t.same(await postInvalid(app, 1, '192.0.2.1'), [401])
  t.same(await postInvalid(app, 1, '::ffff:192.0.2.1'), [429])
})

t.test('ignores X-Forwarded-For by default', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1 })
  t.same(await postInvalid(app, 1, '192.0.2.1', '198.51.100.1'), [401])
  t.same(await postInvalid(app, 1, '192.0.2.1', '198.51.100.2'), [429])
})

t.test('trusts the configured number of proxies, and no address beyond them', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1, trustProxy: 1 })
  t.same(await postInvalid(app, 1, '10.0.0.1', 'spoofed, 198.51.100.1'), [401])
  t.same(await postInvalid(app, 1, '10.0.0.1', 'other spoofed, 198.51.100.1'), [429])
  t.same(await postInvalid(app, 1, '10.0.0.2', '198.51.100.1'), [429])
  t.same(await postInvalid(app, 1, '10.0.0.1', '198.51.100.1, 198.51.100.2'), [401])
  t.same(await postInvalid(app, 1, '10.0.0.1'), [401], 'the proxy itself without X-Forwarded-For')
})

t.test('trusts proxies by address, and no others', async (t) => {
  const { app } = await startApp(t, {
    maxFailuresPerMinute: 1,
    trustProxy: ['10.0.0.0/8', 'fd00::/8'],
  })
  t.same(await postInvalid(app, 1, '10.1.2.3', '198.51.100.1'), [401])
  t.same(await postInvalid(app, 1, '::ffff:10.9.9.9', '198.51.100.1'), [429])
  t.same(await postInvalid(app, 1, 'fd00::1', '203.0.113.1, 198.51.100.1, 10.0.0.7'), [429])
  t.same(await postInvalid(app, 1, '198.51.100.2', '198.51.100.1'), [401], 'an untrusted address')
})

t.test('trusts all of X-Forwarded-For if all proxies are trusted', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1, trustProxy: true })
  t.same(await postInvalid(app, 1, '192.0.2.1', '198.51.100.1, 10.0.0.1'), [401])
  t.same(await postInvalid(app, 1, '192.0.2.2', '198.51.100.1'), [429])
  const nonsense = ['', ',', 'unknown', 'x'.repeat(10_000), '::1%eth0', '\u00e9']
  for (const [n, text] of nonsense.entries()) {
    t.same(await postInvalid(app, 1, `192.0.2.${n + 3}`, text), [401], text.slice(0, 20))
  }
})

t.test('counts a client by one key for any notation of its address', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1, trustProxy: 1 })
  const spellings = [
    [
      '4.4.4.4',
      '4.4.4.4:1024',
      '4.4.4.4:65535',
      '[4.4.4.4]:80',
      '::ffff:4.4.4.4',
      '[::ffff:404:404]:1',
    ],
    [
      '2001:db8::1',
      '[2001:db8::1]',
      '[2001:DB8::1]:443',
      '2001:0db8:0000:0000:0000:0000:0000:0002',
    ],
    ['fe80::1', 'fe80::1%eth0', '[fe80::2%25eth1]:1024', 'fe80:0::5'],
  ]
  for (const [first = '', ...others] of spellings) {
    t.same(await postInvalid(app, 1, '10.0.0.1', first), [401], first)
    for (const other of others) t.same(await postInvalid(app, 1, '10.0.0.1', other), [429], other)
  }
})

t.test('recognizes a trusted proxy whose address has a port', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1, trustProxy: ['10.0.0.0/8'] })
  t.same(await postInvalid(app, 1, '10.0.0.1', '4.4.4.4, 10.0.0.2:5000'), [401])
  t.same(await postInvalid(app, 1, '10.0.0.1', '4.4.4.5, 10.0.0.2:5001'), [401])
  t.same(await postInvalid(app, 1, '10.0.0.1', '4.4.4.4:1, [::ffff:10.0.0.2]:5002'), [429])
})

t.test('counts an invalid address as the proxy that sent it, and does not log it', async (t) => {
  const { app, log } = await startApp(t, { maxFailuresPerMinute: 3, trustProxy: true })
  const nonsense = ['4915112345678', '+49 151 12345678', '49151:1', 'x'.repeat(10_000)]
  t.same(await postInvalid(app, 1, '192.0.2.1', nonsense[0]), [401])
  t.same(await postInvalid(app, 1, '192.0.2.1', nonsense[1]), [401])
  t.same(await postInvalid(app, 1, '192.0.2.1', nonsense[2]), [401])
  t.same(await postInvalid(app, 1, '192.0.2.1', nonsense[3]), [429])
  t.same(await postInvalid(app, 1, '192.0.2.9', `${nonsense[0]}, 192.0.2.1`), [429])
  t.strictSame(new Set(log.map(({ client }) => client)), new Set(['192.0.2.1']))
  t.notMatch(JSON.stringify(log), /4915|x{9}/)
})

t.test('changes of the wall clock do not affect limits', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1, maxRequestsPerMinute: 3 })
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  await postInvalid(app, 2, '192.0.2.1')
  for (const hours of [-2, 2]) {
    Date.now = () => now() + hours * 3_600_000
    const failed = await postFrom(app, '192.0.2.1')
    t.equal(failed.statusCode, 429, `${hours} h`)
    t.ok(Number(failed.headers['retry-after']) <= 60, String(failed.headers['retry-after']))
  }
  t.strictSame((await postFrom(app, '192.0.2.1')).json(), {
    detail: 'too many requests from this address',
  })
})
