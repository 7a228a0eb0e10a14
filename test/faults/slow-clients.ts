import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Load, postOf } from '../load.ts'
import { resourcesOf, Scrape } from '../scrape.ts'
import { type Service, startService } from '../service.ts'

/** Time limits of the service: to receive headers, to receive the request, to send the response. */
const HEADERS_MS = 10_000
const REQUEST_MS = 15_000
const RESPONSE_MS = 15_000

/** Tolerance: the service checks its time limits every second, and the machine may be busy. */
const GRACE_MS = 4000

/** Text of a message; nine pages of 100 have 14.7 MB, more than the kernel's socket buffers. */
const TEXT = '😀'.repeat(4080)

/** Number of clients of each kind. */
const CLIENTS = 20

/** Maximum number of connections that the test itself keeps open. */
const SPARE = 10

t.setTimeout(90_000)
t.jobs = 2

/** A connection, until the service closes it. */
interface Client {
  socket: Socket
  /** Milliseconds until the connection was closed, and the data received. */
  ended: Promise<{ ms: number; read: string }>
}

/** Opens a connection that sends nothing yet. */
async function openClient(service: Service): Promise<Client> {
  const { hostname, port } = new URL(service.url)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  const started = performance.now()
  let read = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    read += text
  })
  const closed = Promise.race([once(socket, 'close'), once(socket, 'end')])
  return {
    socket,
    ended: closed.then(() => {
      socket.destroy()
      return { ms: performance.now() - started, read }
    }),
  }
}

/** Sends one byte per second. */
async function drip({ socket }: Client, text: string): Promise<void> {
  for (const byte of text) {
    if (!socket.writable) return
    socket.write(byte)
    await delay(1000)
  }
}

/** A kind of slow client. */
interface Kind {
  name: string
  /** Time within which the service closes the connection. */
  limitMs: number
  /** Pattern of the response; undefined if there is none. */
  response?: RegExp
  start(service: Service): Promise<Client>
}

const HEAD = 'POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n'

const KINDS: Kind[] = [
  {
    name: 'no data',
    limitMs: HEADERS_MS,
    start: (service) => openClient(service),
  },
  {
    name: 'slow headers',
    limitMs: HEADERS_MS,
    response: /^HTTP\/1\.1 408 /,
    async start(service) {
      const one = await openClient(service)
      void drip(one, HEAD)
      return one
    },
  },
  {
    name: 'a slow body',
    limitMs: REQUEST_MS,
    response: /^HTTP\/1\.1 408 /,
    async start(service) {
      const one = await openClient(service)
      one.socket.write(HEAD)
      void drip(one, 'x'.repeat(1000))
      return one
    },
  },
  {
    name: 'a slow body over the limit',
    limitMs: REQUEST_MS,
    response: /^HTTP\/1\.1 413 /,
    async start(service) {
      const one = await openClient(service)
      one.socket.write(HEAD.replace('1000', '100000'))
      void drip(one, 'x'.repeat(1000))
      return one
    },
  },
  {
    name: 'half-closed within a body',
    limitMs: 0,
    response: /^HTTP\/1\.1 400 /,
    async start(service) {
      const one = await openClient(service)
      one.socket.end(`${HEAD}some of it`)
      return one
    },
  },
  {
    name: 'half-closed after a complete request',
    limitMs: 0,
    response: /^HTTP\/1\.1 200 /,
    async start(service) {
      const one = await openClient(service)
      one.socket.end(postOf('half-closed'))
      return one
    },
  },
]

/** Senders that are not slow. */
function goodLoad(service: Service): Load {
  return new Load({ url: () => service.url, connections: 2, prefix: 'good-', pauseMs: 50 })
}

async function assertServed(t: Test, good: Load): Promise<void> {
  const { statuses, lost } = await good.stop()
  t.strictSame([...statuses.keys()], [200], 'other clients are served')
  t.equal(lost, 0)
}

t.test(
  'connections of clients that send slowly are closed after the time limits',
  { buffered: true },
  async (t) => {
    const service = await startService(t)
    await Scrape.of(service)
    const before = resourcesOf(service)
    const good = goodLoad(service)
    const clients = await Promise.all(
      KINDS.map(async (kind) => {
        const started = await Promise.all(
          Array.from({ length: CLIENTS }, () => kind.start(service)),
        )
        return { kind, ended: started.map(({ ended }) => ended) }
      }),
    )
    while ((await Scrape.of(service)).sum('http_requests_in_flight', 'unverified') < CLIENTS);
    t.pass('requests with a slow body count as in flight')
    for (const { kind, ended } of clients) {
      const ends = await Promise.all(ended)
      const slowest = Math.max(...ends.map(({ ms }) => ms))
      t.ok(
        slowest < kind.limitMs + GRACE_MS,
        `${kind.name}: closed within ${Math.round(slowest)} ms`,
      )
      const { response } = kind
      if (response)
        t.ok(
          ends.every(({ read }) => response.test(read)),
          `${kind.name}: has the expected response`,
        )
    }
    await assertServed(t, good)
    t.equal((await Scrape.of(service)).sum('http_requests_in_flight', 'ingest'), 0)
    t.equal(
      (await fetch(`${service.url}/messages/half-closed`)).status,
      200,
      'the message of half-closed clients is stored',
    )
    while (resourcesOf(service).descriptors > before.descriptors + SPARE) await delay(50)
    t.pass('all descriptors are closed')
  },
)

t.test(
  'connections of clients that do not read are closed after the time limit',
  { buffered: true },
  async (t) => {
    // A limit that admits all of their requests.
    const service = await startService(t, { MAX_WAITING: '50000' })
    const messages = new Load({ url: () => service.url, connections: 4, prefix: 'm', text: TEXT })
    await messages.untilAcknowledged(200)
    await messages.stop()
    const before = resourcesOf(service)
    const good = goodLoad(service)
    const started = performance.now()
    for (let number = 0; number < 2 * CLIENTS; number++) {
      const { hostname, port } = new URL(service.url)
      const socket = connect(Number(port), hostname)
      socket.on('error', () => undefined)
      // One request in flight and eight waiting, the maximum on a connection.
      socket.write('GET /messages?limit=100 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(9))
      // Every other client reads slowly.
      const reading = number % 2 === 0 ? undefined : setInterval(() => socket.read(1024), 500)
      t.teardown(() => {
        clearInterval(reading)
        socket.destroy()
      })
    }
    const open = async () => (await Scrape.of(service)).sum('http_requests_in_flight', 'read')
    let most = 0
    while (most < 2 * CLIENTS && performance.now() - started < RESPONSE_MS) {
      most = Math.max(most, await open())
      await delay(50)
    }
    t.equal(most, 2 * CLIENTS, 'every client has a response in flight')
    while ((await open()) > 0) await delay(200)
    const ms = Math.round(performance.now() - started)
    // The time limit of a response starts when it is ready.
    t.ok(ms < RESPONSE_MS + RESPONSE_MS / 2 + GRACE_MS, `closed within ${ms} ms`)
    await assertServed(t, good)
    while (resourcesOf(service).descriptors > before.descriptors + SPARE) await delay(50)
    t.pass('all descriptors are closed')
  },
)
