import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Load } from '../load.ts'
import { resourcesOf, Scrape } from '../scrape.ts'
import { type Service, startService } from '../service.ts'

/** Milliseconds after which the service closes a connection whose client does not read. */
const STALL_MS = 15_000

/** Text of a message, and number of messages: 24 MB, more than the kernel's socket buffers. */
const TEXT = '😀'.repeat(4080)
const MESSAGES = 1500

/** Number of streams whose clients do not read. */
const STALLED = 20

/** Maximum growth of the service's memory in MiB for each of these streams. */
const MIB_PER_STREAM = 16

/** Bytes that the slow client reads in each interval, and the interval in milliseconds. */
const SLOW_BYTES = 16 * 1024
const SLOW_EVERY_MS = 100

t.setTimeout(180_000)

/** Opens a stream of the feed from the first message. */
async function openStream(t: Test, { url }: Service): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  t.teardown(() => socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write('GET /feed HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n')
  return socket
}

const streamsOf = async (service: Service) =>
  (await Scrape.of(service)).sum('http_requests_in_flight', 'stream')

t.test('streams are closed if their client does not read, not if it reads slowly', async (t) => {
  const service = await startService(t)
  const load = new Load({ url: () => service.url, connections: 8, prefix: 'm', text: TEXT })
  await load.untilAcknowledged(MESSAGES)
  await load.stop()
  const before = resourcesOf(service).memoryMiB

  const slow = await openStream(t, service)
  const reading = setInterval(() => slow.read(SLOW_BYTES), SLOW_EVERY_MS)
  t.teardown(() => clearInterval(reading))
  for (let number = 0; number < STALLED; number++) await openStream(t, service)
  while ((await streamsOf(service)) < STALLED + 1) await delay(20)
  const started = performance.now()
  let most = 0
  while ((await streamsOf(service)) > 1) {
    most = Math.max(most, resourcesOf(service).memoryMiB - before)
    await delay(100)
  }
  const seconds = Math.round((performance.now() - started) / 1000)
  t.pass(`the streams whose clients do not read are closed after ${seconds} s`)
  t.ok(most < STALLED * MIB_PER_STREAM, `memory grows by at most ${Math.round(most)} MiB`)
  await delay(2 * STALL_MS)
  t.equal(await streamsOf(service), 1, 'the stream that is read slowly is open')
  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0)
})
