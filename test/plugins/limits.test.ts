import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import type { App } from '../../src/app.ts'
import { post, sign, startApp, wire } from '../helper.ts'

const BODY = wire({ message_id: 'm' })

/** Posts from an address, rightly signed or not. */
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

/** The statuses of so many wrong posts, one after the other. */
async function guess(app: App, times: number, address: string, forwarded?: string) {
  const statuses: number[] = []
  for (let n = 0; n < times; n++) {
    statuses.push((await postFrom(app, address, 'wrong', forwarded)).statusCode)
  }
  return statuses
}

t.test('an address that sends too many wrong signatures is told to wait', async (t) => {
  const { app, log } = await startApp(t, { maxFailuresPerMinute: 3 })
  t.same(await guess(app, 5, '192.0.2.1'), [401, 401, 401, 429, 429])
  const refused = await postFrom(app, '192.0.2.1')
  t.strictSame(refused.json(), { detail: 'too many failed attempts from this address' })
  t.ok(Number(refused.headers['retry-after']) >= 1 && Number(refused.headers['retry-after']) <= 60)
  t.match(log.at(-1), {
    level: 'ERROR',
    status: 429,
    result: 'invalid_signature',
    client: '192.0.2.1',
  })
  const { body } = await app.inject('/metrics')
  t.match(body, /^webhook_requests_total\{result="invalid_signature"\} 6$/m)
  t.match(body, /^webhook_requests_total\{result="error"\} 0$/m)

  const right = await postFrom(app, '192.0.2.1', sign(BODY))
  t.equal(right.statusCode, 200, 'a right signature from there passes')
  t.notOk('client' in (log.at(-2) ?? {}))
  t.same(await guess(app, 1, '192.0.2.2'), [401], 'another address is another matter')
})

t.test('wrong tokens count with wrong signatures, right ones pass', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 2, apiTokens: ['token'] })
  const read = (authorization?: string) =>
    app.inject({ url: '/stats', headers: authorization === undefined ? {} : { authorization } })
  t.equal((await read()).statusCode, 401)
  t.equal((await post(app, BODY, {})).statusCode, 401)
  const refused = await read('Bearer wrong')
  t.equal(refused.statusCode, 429)
  t.ok(Number(refused.headers['retry-after']) >= 1)
  t.equal((await read('Bearer token')).statusCode, 200)
  t.equal((await post(app, BODY)).statusCode, 200)
})

t.test('0 is no limit', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 0 })
  t.same(new Set(await guess(app, 400, '192.0.2.1')), new Set([401]))
})

t.test('is 300 unless set otherwise', async (t) => {
  const { app } = await startApp(t)
  t.same(
    (await guess(app, 302, '192.0.2.1')).map((status, n) => status === (n < 300 ? 401 : 429)),
    Array.from({ length: 302 }, () => true),
  )
})

t.test('an address of IPv6 is its /64, one of IPv4 in IPv6 is the same', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1 })
  t.same(await guess(app, 1, '2001:db8:1:2::1'), [401])
  t.same(await guess(app, 1, '2001:db8:1:2:ffff:ffff:ffff:ffff'), [429])
  t.same(await guess(app, 1, '2001:db8:1:3::1'), [401])
  t.same(await guess(app, 1, '192.0.2.1'), [401])
  t.same(await guess(app, 1, '::ffff:192.0.2.1'), [429])
})

t.test('nobody is believed about addresses unless TRUST_PROXY says so', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1 })
  t.same(await guess(app, 1, '192.0.2.1', '198.51.100.1'), [401])
  t.same(await guess(app, 1, '192.0.2.1', '198.51.100.2'), [429])
})

t.test('a number of proxies is believed, and nothing before them', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1, trustProxy: 1 })
  t.same(await guess(app, 1, '10.0.0.1', 'lie, 198.51.100.1'), [401])
  t.same(await guess(app, 1, '10.0.0.1', 'other lie, 198.51.100.1'), [429])
  t.same(await guess(app, 1, '10.0.0.2', '198.51.100.1'), [429])
  t.same(await guess(app, 1, '10.0.0.1', '198.51.100.1, 198.51.100.2'), [401])
  t.same(await guess(app, 1, '10.0.0.1'), [401], 'itself where it names nobody')
})

t.test('proxies are believed by their addresses, and nobody else', async (t) => {
  const { app } = await startApp(t, {
    maxFailuresPerMinute: 1,
    trustProxy: ['10.0.0.0/8', 'fd00::/8'],
  })
  t.same(await guess(app, 1, '10.1.2.3', '198.51.100.1'), [401])
  t.same(await guess(app, 1, '::ffff:10.9.9.9', '198.51.100.1'), [429])
  t.same(await guess(app, 1, 'fd00::1', '203.0.113.1, 198.51.100.1, 10.0.0.7'), [429])
  t.same(await guess(app, 1, '198.51.100.2', '198.51.100.1'), [401], 'not whoever comes past them')
})

t.test('everything is believed where everybody is', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1, trustProxy: true })
  t.same(await guess(app, 1, '192.0.2.1', '198.51.100.1, 10.0.0.1'), [401])
  t.same(await guess(app, 1, '192.0.2.2', '198.51.100.1'), [429])
  const nonsense = ['', ',', 'unknown', '[::1]:80', 'x'.repeat(10_000), '::1%eth0', '\u00e9']
  for (const [n, text] of nonsense.entries()) {
    t.same(await guess(app, 1, `192.0.2.${n + 3}`, text), [401], text.slice(0, 20))
  }
})

t.test('an overall limit, where it is set, spares nothing but probes', async (t) => {
  const { app, log } = await startApp(t, { maxRequestsPerMinute: 3, trustProxy: 1 })
  const ask = (url: string, address: string) =>
    app.inject({ url, headers: { 'x-forwarded-for': address } })
  t.equal((await postFrom(app, '10.0.0.1', sign(BODY), '192.0.2.1')).statusCode, 200)
  t.equal((await ask('/stats', '192.0.2.1')).statusCode, 200)
  t.equal((await ask('/metrics', '192.0.2.1')).statusCode, 200)
  const refused = await postFrom(app, '10.0.0.1', sign(BODY), '192.0.2.1')
  t.equal(refused.statusCode, 429)
  t.strictSame(refused.json(), { detail: 'too many requests from this address' })
  t.ok(Number(refused.headers['retry-after']) >= 1)
  t.match(log.at(-1), { status: 429, result: 'error' })
  t.equal((await ask('/messages', '192.0.2.1')).statusCode, 429)
  for (let n = 0; n < 5; n++) {
    t.equal((await ask('/health/live', '192.0.2.1')).statusCode, 200)
    t.equal((await ask('/health/ready', '192.0.2.1')).statusCode, 200)
  }
  t.equal((await ask('/stats', '192.0.2.2')).statusCode, 200)

  const { paths } = (await ask('/openapi.json', '192.0.2.3')).json()
  t.ok('429' in paths['/stats'].get.responses)
  t.notOk('429' in paths['/health/live'].get.responses)
})

t.test('a body is not read for an address over its limit', async (t) => {
  const { app } = await startApp(t, { maxRequestsPerMinute: 1 })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  await fetch(`${url}/stats`)
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write('POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{')
  const [answer] = await once(socket, 'data')
  t.match(String(answer), /^HTTP\/1.1 429 /)
})

t.test('there is no limit on requests unless it is set', async (t) => {
  const { app } = await startApp(t, { maxWaiting: 99_999 })
  const answers = await Promise.all(Array.from({ length: 1200 }, () => app.inject('/stats')))
  t.ok(answers.every(({ statusCode }) => statusCode === 200))
  t.notMatch(Object.keys(answers[0]?.headers ?? {}).join(), /ratelimit/)
})
