import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Cluster } from '../../tools/cluster.ts'
import { until } from '../../tools/until.ts'
import { assertFeed, startConsumers } from '../feed-consumers.ts'
import { sign, wire } from '../service.ts'
import { isOk } from './instance.ts'
import { assertExact } from './recount.ts'
import { createInstance, startCluster, startTopology } from './topology.ts'
import { LOAD_MS, Traffic } from './traffic.ts'

/** Instances that start at the same time. */
const STARTED_TOGETHER = 10

/** Number of concurrent posts of each id, and number of ids. */
const COPIES = 60
const IDS = 50

/** Minimum body sizes of the kill tests: none, a text of 4,000 escaped letters, and the limit. */
const KILL_BODY_BYTES = [0, 24 * 1024, 64 * 1024]

/** Milliseconds of an outage that closes connections, and of one that only timeouts detect. */
const OUTAGE_MS = 1500
const HANG_MS = 5500

/** Milliseconds within which readiness checks must fail. */
const DETECTED_WITHIN_MS = 2000

/** Milliseconds within which a post must get a response. */
const POST_WITHIN_MS = 5000

/** A temporary outage of the database. */
interface Outage {
  name: string
  durationMs: number
  begin: (cluster: Cluster) => Promise<void> | void
  end: (cluster: Cluster) => Promise<void> | void
}

const startAgain = (cluster: Cluster) => cluster.startAgain()

const OUTAGES: Outage[] = [
  {
    name: 'shut down',
    durationMs: OUTAGE_MS,
    begin: (cluster) => cluster.stop('fast'),
    end: startAgain,
  },
  {
    name: 'shut down at once',
    durationMs: OUTAGE_MS,
    begin: (cluster) => cluster.stop('immediate'),
    end: startAgain,
  },
  { name: 'killed', durationMs: OUTAGE_MS, begin: (cluster) => cluster.kill(), end: startAgain },
  {
    name: 'hanging',
    durationMs: HANG_MS,
    begin: (cluster) => cluster.freeze(),
    end: (cluster) => cluster.thaw(),
  },
]

t.test('ten instances can start at once on an empty database', async (t) => {
  const cluster = await startCluster(t)
  const environment = { DATABASE_URL: await cluster.createDatabase('together') }
  const instances = await Promise.all(
    Array.from({ length: STARTED_TOGETHER }, () => createInstance(t, environment)),
  )
  const started = performance.now()
  await Promise.all(instances.map((instance) => instance.start()))
  t.pass(`all are ready after ${((performance.now() - started) / 1000).toFixed(1)} s`)
  const statuses = await Promise.all(instances.map((instance) => instance.terminate()))
  t.strictSame(new Set(statuses), new Set([0]), 'each ends with status 0')
})

t.test('three instances behind the load balancer', async (t) => {
  const cluster = await startCluster(t)
  const { instances, balancer } = await startTopology(t, await cluster.createDatabase('topology'))
  const consumers = startConsumers(t, () => balancer.url)
  const acknowledged: string[] = []

  await t.test(
    'sixty concurrent posts of one id create one row, and one post counts as created',
    async (t) => {
      const sum = async (result: 'created' | 'duplicate') => {
        const counts = await Promise.all(instances.map((instance) => instance.counted(result)))
        return counts.reduce((a, b) => a + b)
      }
      const ids = Array.from({ length: IDS }, (_, number) => `copy-${number}`)
      for (const message_id of ids) {
        const statuses = await Promise.all(
          Array.from({ length: COPIES }, async (_, copy) => {
            // The text of each copy differs.
            const body = wire({ message_id, text: `copy ${copy}` })
            const to = instances[copy % instances.length] ?? balancer
            const headers = { 'content-type': 'application/json', 'x-signature': sign(body) }
            return (await fetch(`${to.url}/webhook`, { method: 'POST', headers, body })).status
          }),
        )
        t.strictSame(new Set(statuses), new Set([200]), `${COPIES} copies of ${message_id}: 200`)
      }
      t.equal(await sum('created'), IDS, `${IDS} created`)
      t.equal(await sum('duplicate'), (COPIES - 1) * IDS, `${(COPIES - 1) * IDS} duplicates`)
      const rows = await cluster.query('topology', 'select from messages')
      t.equal(rows.length, IDS, `${IDS} rows`)
      acknowledged.push(...ids)
    },
  )

  for (const bodyBytes of KILL_BODY_BYTES) {
    await t.test(
      `all posts get 200 while an instance is killed, with bodies of ${bodyBytes || 'few'} bytes`,
      async (t) => {
        const traffic = new Traffic(t, balancer.url, `kill-${bodyBytes}-`, { bodyBytes })
        await delay(LOAD_MS)
        const [victim] = instances
        await victim.kill()
        await until('the load balancer detects it', async () => (await balancer.up()) === 2)
        await delay(LOAD_MS)
        await victim.start()
        await until('it gets requests again', async () => (await victim.counted('created')) > 0)
        await delay(LOAD_MS)
        await traffic.end()
        t.equal(traffic.failures.size, 0, traffic.summary)
        acknowledged.push(...traffic.acknowledged)
        await assertExact(t, cluster, 'topology', instances, acknowledged)
      },
    )
  }

  await t.test('a rolling restart under load causes no errors', async (t) => {
    const traffic = new Traffic(t, balancer.url, 'rolling-')
    await delay(LOAD_MS)
    for (const instance of instances) {
      t.equal(await instance.terminate(), 0, 'an instance ends with status 0')
      await instance.start()
      await until('it gets requests again', async () => (await instance.counted('created')) > 0)
    }
    await delay(LOAD_MS)
    await traffic.end()
    t.equal(traffic.failures.size, 0, traffic.summary)
    acknowledged.push(...traffic.acknowledged)
    await assertExact(t, cluster, 'topology', instances, acknowledged)
  })

  for (const { name, durationMs, begin, end } of OUTAGES) {
    await t.test(
      `no acknowledged message is lost while PostgreSQL is ${name} under load`,
      async (t) => {
        const traffic = new Traffic(t, balancer.url, `${name}-`)
        await delay(LOAD_MS)
        const began = performance.now()
        await begin(cluster)
        await until('no instance is ready', async () => {
          const ready = await Promise.all(instances.map((instance) => instance.ready()))
          return !ready.includes(true)
        })
        const detectedMs = performance.now() - began
        t.ok(detectedMs < DETECTED_WITHIN_MS, `none is ready after ${detectedMs.toFixed(0)} ms`)
        for (const { url } of instances) t.ok(await isOk(`${url}/health/live`), 'is alive')
        await delay(durationMs)
        await end(cluster)
        const resumed = performance.now()
        const before = traffic.acknowledged.length
        await until('messages are stored again', () => traffic.acknowledged.length > before)
        t.pass(`messages are stored again after ${(performance.now() - resumed).toFixed(0)} ms`)
        await until(
          'all instances are ready',
          async () => (await balancer.up()) === instances.length,
        )
        await delay(LOAD_MS)
        await traffic.end()
        t.ok(traffic.slowestPostMs < POST_WITHIN_MS, traffic.summary)
        t.equal(traffic.withoutRetryAfter, 0, 'each 503 has Retry-After')
        acknowledged.push(...traffic.acknowledged)
        await assertExact(t, cluster, 'topology', instances, acknowledged)
      },
    )
  }

  await t.test('consumers of the feed have read every message once, in one order', async (t) => {
    const fed = await assertFeed(t, consumers, balancer.url, acknowledged)
    const rows = await cluster.query('topology', 'select from messages')
    t.equal(fed.length, rows.length, 'the feed has every stored message')
  })
})
