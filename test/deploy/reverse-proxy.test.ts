import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { parseConfig } from '../../src/config.ts'
import { SOURCES } from '../../src/sources/all.ts'
import { freePort } from '../../tools/free-port.ts'
import { until } from '../../tools/until.ts'
import { eventsOf, linesOf, take } from '../event-stream.ts'
import { type LogLine, sign, startService, wire } from '../service.ts'
import { ALL_SOURCES } from '../sources/posts.ts'
import { open, PROXIES, type RunningProxy, send } from './proxies.ts'

/** Settings of a service behind a proxy on the same machine, with a limit that tests reach. */
const SETTINGS = { ...ALL_SOURCES, TRUST_PROXY: '127.0.0.1', MAX_FAILURES_PER_MINUTE: '2' }

const { sources } = parseConfig(ALL_SOURCES)

/** The paths of all sources, with the limits of their bodies in bytes. */
const RECEIVERS = SOURCES.map((source) => source.createReceiver(sources[source.name]))

/** Posts a message with this id, by default with a valid signature. */
function postMessage(
  proxy: RunningProxy,
  id: string,
  headers: Record<string, string> = {},
  from = '127.0.0.1',
) {
  const body = wire({ message_id: id })
  const signed = { 'content-type': 'application/json', 'x-signature': sign(body), ...headers }
  return send(proxy, { path: '/webhook', headers: signed, body, from })
}

for (const { name, skip, start } of PROXIES) {
  t.test(name, { skip, timeout: 100_000 }, async (t) => {
    const { url, log } = await startService(t, SETTINGS)
    const proxy = await start(t, new URL(url).host)
    await testPosts(t, proxy, log)
    await testReads(t, proxy, log)
  })

  t.test(`${name} without the service`, { skip, timeout: 30_000 }, async (t) => {
    const proxy = await start(t, `127.0.0.1:${await freePort()}`)
    const { status, headers, body } = await postMessage(proxy, 'm1')
    t.equal(status, 503)
    t.equal(headers['retry-after'], '1')
    t.strictSame(JSON.parse(body), { detail: 'the service is unavailable' })
    const plain = await fetch(`http://127.0.0.1:${proxy.httpPort}/messages`, { redirect: 'manual' })
    t.equal(plain.status, 308, 'HTTP is redirected')
  })
}

/** Tests requests that store messages. */
async function testPosts(t: Test, proxy: RunningProxy, log: readonly LogLine[]): Promise<void> {
  await t.test('passes on signed posts, and does not change their bytes', async (t) => {
    const { status, headers, body } = await postMessage(proxy, 'm1')
    t.equal(status, 200)
    t.equal(body, '{"status":"ok"}')
    t.match(headers['strict-transport-security'], /^max-age=\d{7,}$/)
    const spaced = `\n ${wire({ message_id: 'm2', text: 'ä\u2028' })} `
    const signed = { 'content-type': 'application/json', 'x-signature': sign(spaced) }
    t.equal((await send(proxy, { path: '/webhook', headers: signed, body: spaced })).status, 200)
  })

  await t.test('the service sees the address of the client, which cannot be forged', async (t) => {
    const statuses: number[] = []
    for (const forged of ['203.0.113.1', '203.0.113.2', '203.0.113.3', '127.0.0.1']) {
      const headers = { 'x-signature': 'wrong', 'x-forwarded-for': forged }
      statuses.push((await postMessage(proxy, 'm', headers, '127.0.0.2')).status)
    }
    t.strictSame(statuses, [401, 401, 429, 429])
    const other = await postMessage(proxy, 'm', { 'x-signature': 'wrong' }, '127.0.0.3')
    t.equal(other.status, 401, 'another client has a limit of its own')
    const clients = () => log.flatMap(({ client }) => (client === undefined ? [] : [client]))
    await until('the log has every failure', () => clients().length === 5)
    t.strictSame(clients(), [...Array(4).fill('127.0.0.2'), '127.0.0.3'])
  })

  await t.test('bodies have the limits of the service, which gets no larger ones', async (t) => {
    for (const [index, receiver] of RECEIVERS.entries()) {
      const { path = '', bodyLimit = 0 } = receiver ?? {}
      const postBytes = (bytes: number, headers: Record<string, string> = {}) =>
        send(proxy, { path, body: 'x'.repeat(bytes), headers, from: `127.0.1.${index}` })
      const { status, headers, body } = await postBytes(bodyLimit + 1, {
        expect: '100-continue',
        'content-length': String(bodyLimit + 1),
      })
      t.equal(status, 413, path)
      t.match(headers['content-type'], /^application\/json/)
      t.type(JSON.parse(body).detail, 'string')
      t.equal((await postBytes(bodyLimit)).status, 401, `${path}: the service checks the signature`)
    }
    const of = (status: number) => log.filter((line) => line.status === status)
    const largest = () => of(401).some(({ path }) => path === '/webhook/standard')
    await until('the log has the last request', largest)
    t.strictSame(of(413), [])
  })
}

/** Tests requests that read messages. */
async function testReads(t: Test, proxy: RunningProxy, log: readonly LogLine[]): Promise<void> {
  await t.test('passes on events as they arrive, and the end of the client', async (t) => {
    const follow = (accept: string) => open(proxy, { path: '/feed?after=now', headers: { accept } })
    const events = await follow('text/event-stream')
    const lines = await follow('application/x-ndjson')
    t.equal((await postMessage(proxy, 'm3')).status, 200)
    const [event] = await take(eventsOf(events), 1)
    t.match(event?.data, '"message_id":"m3"')
    for await (const line of linesOf(lines)) {
      // Keep-alives are empty lines.
      if (line === '') continue
      t.match(line, '"message_id":"m3"')
      break
    }
    for (const stream of [events, lines]) stream.destroy()
    const ended = () => log.filter(({ path }) => path === '/feed').length
    await until('the service has ended both streams', () => ended() === 2)
  })

  await t.test('passes on exports in chunks', async (t) => {
    const response = await open(proxy, { path: '/messages/export?to=%2B14155550100&type=text' })
    t.equal(response.statusCode, 200)
    t.equal(response.headers['transfer-encoding'], 'chunked')
    const ids = (await text(response)).match(/"message_id":"m\d"/g)
    t.equal(ids?.length, 3)
  })

  await t.test('does not expose the metrics', async (t) => {
    for (const path of ['/metrics', '/metrics?x=1', '/%6Detrics', '//metrics', '/x/../metrics']) {
      const { status, body } = await send(proxy, { path })
      t.equal(status, 404, path)
      t.notMatch(body, 'webhook_requests_total')
    }
    t.equal((await send(proxy, { path: '/health/ready' })).status, 200)
  })

  await t.test('does not log queries', async (t) => {
    t.equal((await send(proxy, { path: '/messages?from=%2B919876543210' })).status, 200)
    t.notMatch(proxy.log(), '919876543210')
  })
}

/** Starts a server in place of the service, which is closed after the test. @returns its address. */
async function startUpstream(t: Test, handle: RequestListener): Promise<string> {
  const server = createServer(handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `127.0.0.1:${address.port}`
}

/** Size of a stream in bytes: more than the sockets between the service and a client hold. */
const STREAM_BYTES = 64 * 1024 * 1024

for (const { name, skip, start } of PROXIES) {
  for (const path of ['/feed', '/messages/export']) {
    t.test(`${name} does not read ${path} faster than its client`, { skip }, async (t) => {
      let state = 'idle'
      const upstream = await startUpstream(t, async (request, response) => {
        if (request.url !== path) return response.end()
        response.on('finish', () => {
          state = 'sent'
        })
        for (let sent = 0; sent < STREAM_BYTES; sent += 65_536) {
          if (response.write(Buffer.alloc(65_536))) continue
          state = 'waiting'
          await once(response, 'drain')
        }
        return response.end()
      })
      const proxy = await start(t, upstream)
      const stream = await open(proxy, { path })
      await until('the upstream waits for the proxy', () => state === 'waiting')
      for (let n = 0; n < 100; n++) await send(proxy, { path: '/health/live' })
      t.equal(state, 'waiting', path)
      let received = 0
      for await (const chunk of stream) received += chunk.length
      t.equal(received, STREAM_BYTES)
    })
  }
}

const [nginx] = PROXIES

t.test(
  'nginx repeats a post whose connection the service has closed',
  { skip: nginx?.skip ?? true },
  async (t) => {
    const bodies: string[] = []
    const upstream = await startUpstream(t, async (request, response) => {
      if (request.method === 'POST') bodies.push(await text(request))
      if (bodies.length === 1) request.socket.destroy()
      else response.end('ok')
    })
    const proxy = await nginx?.start(t, upstream)
    if (!proxy) throw new Error('no proxy')
    // Opens the connection that the post reuses.
    t.equal((await send(proxy, { path: '/health/ready' })).status, 200)
    t.equal((await postMessage(proxy, 'm1')).status, 200)
    t.strictSame(bodies, [wire({ message_id: 'm1' }), wire({ message_id: 'm1' })])
  },
)
