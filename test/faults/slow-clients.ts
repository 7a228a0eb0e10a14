import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Load, postOf } from '../load.ts'
import { resourcesOf, Scrape } from '../scrape.ts'
import { type Service, startService } from '../service.ts'

/** The service's limits: for the headers, for a whole request, and for an answer to be read. */
const HEADERS_MS = 10_000
const REQUEST_MS = 15_000
const ANSWER_MS = 15_000

/** It looks every second who is late, and this machine may be busy. */
const GRACE_MS = 4000

/** Nine pages of 100 such messages have 14.7 MB: more than the kernel buffers for a client that does not read. */
const TEXT = '😀'.repeat(4080)

/** Of each kind. */
const CLIENTS = 20

/** Pools that this test itself keeps for its questions. */
const SPARE = 10

t.setTimeout(90_000)
t.jobs = 2

/** A client of its own kind on a connection of its own, until the service ends it. */
interface Client {
  socket: Socket
  /** Milliseconds until the connection ended, and what was read of it. */
  ended: Promise<{ ms: number; read: string }>
}

async function client(service: Service): Promise<Client> {
  const { hostname, port } = new URL(service.url)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  const started = performance.now()
  let read = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    read += text
  })
  const over = Promise.race([once(socket, 'close'), once(socket, 'end')])
  return {
    socket,
    ended: over.then(() => {
      socket.destroy()
      return { ms: performance.now() - started, read }
    }),
  }
}

/** Sends one byte a second. */
async function drip({ socket }: Client, text: string): Promise<void> {
  for (const byte of text) {
    if (!socket.writable) return
    socket.write(byte)
    await delay(1000)
  }
}

/** Every client of a kind has been ended in time. */
interface Kind {
  name: string
  limitMs: number
  answered?: RegExp
  start(service: Service): Promise<Client>
}

const HEAD = 'POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n'

const KINDS: Kind[] = [
  {
    name: 'one that says nothing',
    limitMs: HEADERS_MS,
    start: (service) => client(service),
  },
  {
    name: 'slow headers',
    limitMs: HEADERS_MS,
    answered: /^HTTP\/1\.1 408 /,
    async start(service) {
      const one = await client(service)
      void drip(one, HEAD)
      return one
    },
  },
  {
    name: 'a slow body',
    limitMs: REQUEST_MS,
    answered: /^HTTP\/1\.1 408 /,
    async start(service) {
      const one = await client(service)
      one.socket.write(HEAD)
      void drip(one, 'x'.repeat(1000))
      return one
    },
  },
  {
    name: 'half-closed in the middle of a body',
    limitMs: 0,
    answered: /^HTTP\/1\.1 400 /,
    async start(service) {
      const one = await client(service)
      one.socket.end(`${HEAD}some of it`)
      return one
    },
  },
  {
    name: 'half-closed behind a whole request',
    limitMs: 0,
    answered: /^HTTP\/1\.1 200 /,
    async start(service) {
      const one = await client(service)
      one.socket.end(postOf('half-closed'))
      return one
    },
  },
]

/** Senders who do as they should, meanwhile. */
function goodLoad(service: Service): Load {
  return new Load({ url: () => service.url, connections: 2, prefix: 'good-', pauseMs: 50 })
}

async function assertServed(t: Test, good: Load): Promise<void> {
  const { statuses, lost } = await good.stop()
  t.strictSame([...statuses.keys()], [200], 'meanwhile others are served')
  t.equal(lost, 0)
}

t.test(
  'clients that are slow to send hold nothing beyond their limits',
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
    t.pass('whose body is slow takes room, for as long as it may')
    for (const { kind, ended } of clients) {
      const ends = await Promise.all(ended)
      const slowest = Math.max(...ends.map(({ ms }) => ms))
      t.ok(
        slowest < kind.limitMs + GRACE_MS,
        `${kind.name}: ended within ${Math.round(slowest)} ms`,
      )
      const { answered } = kind
      if (answered)
        t.ok(
          ends.every(({ read }) => answered.test(read)),
          `${kind.name}: told so`,
        )
    }
    await assertServed(t, good)
    t.equal((await Scrape.of(service)).sum('http_requests_in_flight', 'ingest'), 0)
    t.equal((await fetch(`${service.url}/messages/half-closed`)).status, 200, 'it was stored')
    while (resourcesOf(service).descriptors > before.descriptors + SPARE) await delay(50)
    t.pass('every descriptor is given back')
  },
)

t.test(
  'clients that do not read their answers hold nothing beyond their limit',
  { buffered: true },
  async (t) => {
    // Room for all that they ask for.
    const service = await startService(t, { MAX_WAITING: '50000' })
    const messages = new Load({ url: () => service.url, connections: 4, prefix: 'm', text: TEXT })
    await messages.acknowledge(200)
    await messages.stop()
    const before = resourcesOf(service)
    const good = goodLoad(service)
    const started = performance.now()
    for (let number = 0; number < 2 * CLIENTS; number++) {
      const { hostname, port } = new URL(service.url)
      const socket = connect(Number(port), hostname)
      socket.on('error', () => undefined)
      // As many as one connection may pipeline.
      socket.write('GET /messages?limit=100 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(9))
      // Every other one reads a little now and then.
      const reading = number % 2 === 0 ? undefined : setInterval(() => socket.read(1024), 500)
      t.teardown(() => {
        clearInterval(reading)
        socket.destroy()
      })
    }
    const open = async () => (await Scrape.of(service)).sum('http_requests_in_flight', 'read')
    let most = 0
    while (most < 2 * CLIENTS && performance.now() - started < ANSWER_MS) {
      most = Math.max(most, await open())
      await delay(50)
    }
    t.equal(most, 2 * CLIENTS, 'every client has a response that waits to be read')
    while ((await open()) > 0) await delay(200)
    const ms = Math.round(performance.now() - started)
    // An answer is given its time once it is there.
    t.ok(ms < ANSWER_MS + ANSWER_MS / 2 + GRACE_MS, `ended within ${ms} ms`)
    await assertServed(t, good)
    while (resourcesOf(service).descriptors > before.descriptors + SPARE) await delay(50)
    t.pass('every descriptor is given back')
  },
)
