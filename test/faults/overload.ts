import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { Connection } from '../connection.ts'
import { databases } from '../databases.ts'
import { scale } from '../fault-scale.ts'
import { Load } from '../load.ts'
import { resourcesOf, Scrape } from '../scrape.ts'
import { startService } from '../service.ts'
import { ALL_SOURCES, idOfSource, postOfSources, siblingsOf } from '../sources/posts.ts'

const CONNECTIONS = scale({ short: 1500, full: 2000 })
const SECONDS = scale({ short: 10, full: 60 })

/** Setting `MAX_WAITING`: low in the short run, as a busy machine may send fewer than half of the posts at once. */
const MAX_WAITING = scale({ short: 150, full: 1000 })

/**
 * Maximum memory of the service, in MiB.
 * With thousands of concurrent requests, objects are promoted to the old generation, which V8 lets grow before it runs
 * a major collection.
 */
const MEMORY_MIB = 512

const LIVE = 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n'

/** Maximum number of connections that the test itself keeps open. */
const SPARE = 10

t.setTimeout(240_000)

/** Requests `/health/live` until `until` returns true. @returns the highest latency in ms. */
async function probe(url: string, until: () => boolean): Promise<number> {
  const connection = await Connection.to(url)
  let slowest = 0
  while (!until()) {
    const started = performance.now()
    connection.send(LIVE)
    const { status } = await connection.readResponse()
    if (status !== 200) throw new Error(`/health/live returned ${status}`)
    slowest = Math.max(slowest, performance.now() - started)
    await delay(100)
  }
  connection.close()
  return slowest
}

for (const { name, make } of databases)
  t.test(
    `${name}: rejects posts over the limit and recovers, ${CONNECTIONS} connections for ${SECONDS} s`,
    async (t) => {
      const { url } = await make(t)
      const service = await startService(t, {
        DATABASE_URL: url,
        MAX_WAITING: String(MAX_WAITING),
        ...ALL_SOURCES,
      })
      const warmUp = new Load({ url: () => service.url, connections: 16, prefix: 'warm-' })
      await warmUp.untilAcknowledged(2000)
      await warmUp.stop()
      const before = resourcesOf(service)

      let over = false
      const slowestProbe = probe(service.url, () => over)
      const load = new Load({
        url: () => service.url,
        connections: CONNECTIONS,
        idOf: idOfSource,
        requestOf: postOfSources,
      })
      const memory: number[] = []
      let mostOpen = 0
      for (let second = 0; second < SECONDS; second++) {
        await delay(1000)
        memory.push(resourcesOf(service).memoryMiB)
        const now = await Scrape.of(service)
        mostOpen = Math.max(mostOpen, now.sum('http_requests_in_flight', 'ingest'))
      }
      const { acknowledged, statuses, lost, rejected } = await load.stop()
      over = true
      const probedMs = await slowestProbe
      const scrape = await Scrape.of(service)

      t.strictSame([...statuses.keys()].sort(), [200, 503], 'only 200 and 503')
      const ended = (status: number) => scrape.sum('http_requests_total', `status="${status}"`)
      t.equal(
        lost,
        0,
        `no connection was lost; ${ended(408)} ended with 408, ${ended(499)} with 499`,
      )
      t.ok(
        rejected.every(
          ({ headers, body }) =>
            headers['retry-after'] === '1' &&
            body === '{"detail":"too many requests in flight; retry later"}',
        ),
        'every 503 has Retry-After and the error message',
      )
      t.ok(mostOpen <= MAX_WAITING + 10, `at most ${mostOpen} were in flight`)

      const within = (seconds: string, status: number) =>
        scrape.sum(
          'http_request_duration_seconds_bucket',
          'method="POST"',
          `status="${status}"`,
          `le="${seconds}"`,
        )
      const rejections = statuses.get(503) ?? 0
      t.equal(
        scrape.sum('http_requests_rejected_total', 'overload'),
        rejections,
        'every rejection is counted',
      )
      t.equal(within('+Inf', 503), rejections)
      t.ok(
        within('0.05', 503) >= rejections * 0.999,
        `${within('0.05', 503)} of ${rejections} rejections were sent within 50 ms after their headers`,
      )
      const stored = within('+Inf', 200)
      t.ok(
        within('2.5', 200) >= stored * 0.99,
        `${within('2.5', 200)} of ${stored} posts got a response within 2.5 s, ${within('1', 200)} within a second, ${within('0.25', 200)} within 250 ms`,
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

      // After the overload, the service recovers.
      t.equal(scrape.sum('http_requests_in_flight', 'ingest'), 0)
      t.equal(scrape.sum('ingest_queue_messages'), 0)
      t.equal((await fetch(`${service.url}/health/ready`)).status, 200)
      const stats = (await (await fetch(`${service.url}/stats`)).json()) as {
        total_messages: number
      }
      t.equal(
        stats.total_messages,
        acknowledged.flatMap(siblingsOf).length + warmUp.results.acknowledged.length,
      )
      const again = new Load({ url: () => service.url, connections: 16, prefix: 'again-' })
      await again.untilAcknowledged(1000)
      const seen = await again.stop()
      t.strictSame([...seen.statuses.keys()], [200])
      while (resourcesOf(service).descriptors > before.descriptors + SPARE) await delay(50)
      t.pass('all descriptors are closed')
    },
  )
