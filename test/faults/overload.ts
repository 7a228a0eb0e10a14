import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { Connection } from '../connection.ts'
import { databases } from '../databases.ts'
import { scale } from '../fault-scale.ts'
import { Load } from '../load.ts'
import { resourcesOf, Scrape } from '../scrape.ts'
import { startService } from '../service.ts'

const CONNECTIONS = scale({ short: 1500, full: 2000 })
const SECONDS = scale({ short: 10, full: 60 })

/**
 * What the service may hold under it: thousands of requests at once outlive the young generation, and V8 lets the old
 * one grow before it looks what of it is left.
 */
const MEMORY_MIB = 512

const LIVE = 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n'

/** Pools that this test itself keeps for its questions. */
const SPARE = 10

t.setTimeout(240_000)

/** Asks a probe again and again. @returns how long the slowest answer took, in milliseconds. */
async function probe(url: string, until: () => boolean): Promise<number> {
  const connection = await Connection.to(url)
  let slowest = 0
  while (!until()) {
    const started = performance.now()
    connection.send(LIVE)
    const { status } = await connection.answer()
    if (status !== 200) throw new Error(`/health/live was answered ${status}`)
    slowest = Math.max(slowest, performance.now() - started)
    await delay(100)
  }
  connection.close()
  return slowest
}

for (const { name, make } of databases)
  t.test(
    `${name}: ${CONNECTIONS} connections send for ${SECONDS} s, with room for half`,
    async (t) => {
      const maxWaiting = CONNECTIONS / 2
      const { url } = await make(t)
      const service = await startService(t, { DATABASE_URL: url, MAX_WAITING: String(maxWaiting) })
      const warmUp = new Load({ url: () => service.url, connections: 16, prefix: 'warm-' })
      await warmUp.acknowledge(2000)
      await warmUp.stop()
      const before = resourcesOf(service)

      let over = false
      const slowestProbe = probe(service.url, () => over)
      const load = new Load({ url: () => service.url, connections: CONNECTIONS, prefix: 'm' })
      const memory: number[] = []
      let mostOpen = 0
      for (let second = 0; second < SECONDS; second++) {
        await delay(1000)
        memory.push(resourcesOf(service).memoryMiB)
        const now = await Scrape.of(service)
        mostOpen = Math.max(mostOpen, now.sum('http_requests_in_flight', 'ingest'))
      }
      const { acknowledged, statuses, lost, refused } = await load.stop()
      over = true
      const probedMs = await slowestProbe
      const scrape = await Scrape.of(service)

      t.strictSame([...statuses.keys()].sort(), [200, 503], 'nothing but 200 and 503')
      t.equal(lost, 0, 'no connection was cut')
      t.ok(
        refused.every(
          ({ headers, body }) =>
            headers['retry-after'] === '1' &&
            body === '{"detail":"too many requests in flight; retry later"}',
        ),
        'refused politely',
      )
      t.ok(mostOpen <= maxWaiting + 10, `at most ${mostOpen} were open`)

      const post = ['method="POST"', 'path="/webhook"']
      const within = (seconds: string, status: number) =>
        scrape.sum(
          'http_request_duration_seconds_bucket',
          ...post,
          `status="${status}"`,
          `le="${seconds}"`,
        )
      const refusals = statuses.get(503) ?? 0
      t.equal(
        scrape.sum('http_requests_rejected_total', 'overload'),
        refusals,
        'every refusal is counted',
      )
      t.equal(within('+Inf', 503), refusals)
      t.ok(
        within('0.05', 503) >= refusals * 0.999,
        `${within('0.05', 503)} of ${refusals} refusals left within 50 ms of their headers`,
      )
      const taken = within('+Inf', 200)
      t.ok(
        within('2.5', 200) >= taken * 0.99,
        `${within('2.5', 200)} of ${taken} taken were answered within 2.5 s, ${within('1', 200)} within a second, ${within('0.25', 200)} within 250 ms`,
      )
      t.ok(scrape.sum('ingest_batch_messages_count') > 0, 'batches are measured')
      t.ok(scrape.sum('ingest_commit_seconds_count') > 0, 'commits are measured')
      const [early = 0, late = 0] = [memory.slice(0, SECONDS / 2), memory.slice(SECONDS / 2)].map(
        (half) => Math.round(Math.max(...half)),
      )
      t.ok(
        late < MEMORY_MIB && (SECONDS < 60 || late < early * 1.2),
        `memory: ${Math.round(before.memoryMiB)} MiB before, at most ${early} and then ${late} MiB`,
      )
      t.ok(probedMs < 5000, `the slowest /health/live took ${Math.round(probedMs)} ms`)

      // Afterwards all is as before.
      t.equal(scrape.sum('http_requests_in_flight', 'ingest'), 0)
      t.equal(scrape.sum('ingest_queue_messages'), 0)
      t.equal((await fetch(`${service.url}/health/ready`)).status, 200)
      const stats = (await (await fetch(`${service.url}/stats`)).json()) as {
        total_messages: number
      }
      t.equal(stats.total_messages, acknowledged.length + warmUp.seen.acknowledged.length)
      const again = new Load({ url: () => service.url, connections: 16, prefix: 'again-' })
      await again.acknowledge(1000)
      const seen = await again.stop()
      t.strictSame([...seen.statuses.keys()], [200])
      while (resourcesOf(service).descriptors > before.descriptors + SPARE) await delay(50)
      t.pass('every descriptor is given back')
    },
  )
