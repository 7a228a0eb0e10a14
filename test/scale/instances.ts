import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Cluster } from '../../tools/cluster.ts'
import { until } from '../../tools/until.ts'
import { sign, wire } from '../service.ts'
import { answers } from './instance.ts'
import { assertExact } from './recount.ts'
import { createInstance, startCluster, startTopology } from './topology.ts'
import { LOAD_MS, Traffic } from './traffic.ts'

const TOGETHER = 10

const COPIES = 60
const IDS = 50

/** Sizes of bodies under which an instance is killed: as they come, a text of 4,000 escaped letters, the limit. */
const KILL_BODY_BYTES = [0, 24 * 1024, 64 * 1024]

/** How long the database stays away; where nothing tells that it has gone, longer than a post may wait for it. */
const AWAY_MS = 1500
const HANGING_MS = 5500

/** How soon readiness must tell, in milliseconds. */
const NOTICED_WITHIN_MS = 2000

/** How long a post may take at most, in milliseconds. */
const ANSWERED_WITHIN_MS = 5000

/** A way for the database to be away for a while. */
interface Outage {
  name: string
  lastsMs: number
  begin: (cluster: Cluster) => Promise<void> | void
  end: (cluster: Cluster) => Promise<void> | void
}

const startAgain = (cluster: Cluster) => cluster.startAgain()

const OUTAGES: Outage[] = [
  {
    name: 'shut down',
    lastsMs: AWAY_MS,
    begin: (cluster) => cluster.stop('fast'),
    end: startAgain,
  },
  {
    name: 'shut down at once',
    lastsMs: AWAY_MS,
    begin: (cluster) => cluster.stop('immediate'),
    end: startAgain,
  },
  { name: 'killed', lastsMs: AWAY_MS, begin: (cluster) => cluster.kill(), end: startAgain },
  {
    name: 'hanging',
    lastsMs: HANGING_MS,
    begin: (cluster) => cluster.freeze(),
    end: (cluster) => cluster.thaw(),
  },
]

t.test('ten instances that start at once on an empty database all come up', async (t) => {
  const cluster = await startCluster(t)
  const environment = { DATABASE_URL: await cluster.createDatabase('together') }
  const instances = await Promise.all(
    Array.from({ length: TOGETHER }, () => createInstance(t, environment)),
  )
  const started = performance.now()
  await Promise.all(instances.map((instance) => instance.start()))
  t.pass(`all are ready after ${((performance.now() - started) / 1000).toFixed(1)} s`)
  const statuses = await Promise.all(instances.map((instance) => instance.terminate()))
  t.strictSame(new Set(statuses), new Set([0]), 'each ends with status 0')
})

t.test('three instances behind the load balancer', async (t) => {
  const cluster = await startCluster(t)
  const { instances, balancer } = await startTopology(t, await cluster.createDatabase('picture'))
  const acknowledged: string[] = []

  await t.test('sixty copies of one id make one row and one created', async (t) => {
    const sum = async (result: 'created' | 'duplicate') => {
      const counts = await Promise.all(instances.map((instance) => instance.counted(result)))
      return counts.reduce((a, b) => a + b)
    }
    const ids = Array.from({ length: IDS }, (_, number) => `copy-${number}`)
    for (const message_id of ids) {
      const answers = await Promise.all(
        Array.from({ length: COPIES }, async (_, copy) => {
          // Each copy says something else: the one that is stored is one of them as a whole.
          const body = wire({ message_id, text: `copy ${copy}` })
          const to = instances[copy % instances.length] ?? balancer
          const headers = { 'content-type': 'application/json', 'x-signature': sign(body) }
          return (await fetch(`${to.url}/webhook`, { method: 'POST', headers, body })).status
        }),
      )
      t.strictSame(new Set(answers), new Set([200]), `${COPIES} copies of ${message_id}: 200`)
    }
    t.equal(await sum('created'), IDS, `${IDS} created`)
    t.equal(await sum('duplicate'), (COPIES - 1) * IDS, `${(COPIES - 1) * IDS} duplicates`)
    const rows = await cluster.query('picture', 'select from messages')
    t.equal(rows.length, IDS, `${IDS} rows`)
    acknowledged.push(...ids)
  })

  for (const bodyBytes of KILL_BODY_BYTES) {
    await t.test(
      `one killed under bodies of ${bodyBytes || 'few'} bytes: nothing but 200`,
      async (t) => {
        const traffic = new Traffic(t, balancer.url, `kill-${bodyBytes}-`, { bodyBytes })
        await delay(LOAD_MS)
        const [victim] = instances
        await victim.kill()
        await until('the load balancer leaves it', async () => (await balancer.up()) === 2)
        await delay(LOAD_MS)
        await victim.start()
        await until('it has its share again', async () => (await victim.counted('created')) > 0)
        await delay(LOAD_MS)
        await traffic.end()
        t.equal(traffic.failures.size, 0, traffic.told)
        acknowledged.push(...traffic.acknowledged)
        await assertExact(t, cluster, 'picture', instances, acknowledged)
      },
    )
  }

  await t.test('a rolling restart of all three under load gives no error at all', async (t) => {
    const traffic = new Traffic(t, balancer.url, 'rolling-')
    await delay(LOAD_MS)
    for (const instance of instances) {
      t.equal(await instance.terminate(), 0, 'an instance ends with status 0')
      await instance.start()
      await until('it has its share again', async () => (await instance.counted('created')) > 0)
    }
    await delay(LOAD_MS)
    await traffic.end()
    t.equal(traffic.failures.size, 0, traffic.told)
    acknowledged.push(...traffic.acknowledged)
    await assertExact(t, cluster, 'picture', instances, acknowledged)
  })

  for (const { name, lastsMs, begin, end } of OUTAGES) {
    await t.test(`PostgreSQL ${name} under load loses nothing acknowledged`, async (t) => {
      const traffic = new Traffic(t, balancer.url, `${name}-`)
      await delay(LOAD_MS)
      const began = performance.now()
      await begin(cluster)
      await until('no instance is ready', async () => {
        const ready = await Promise.all(instances.map((instance) => instance.ready()))
        return !ready.includes(true)
      })
      const noticedMs = performance.now() - began
      t.ok(noticedMs < NOTICED_WITHIN_MS, `none is ready after ${noticedMs.toFixed(0)} ms`)
      for (const { url } of instances) t.ok(await answers(`${url}/health/live`), 'it is alive')
      await delay(lastsMs)
      await end(cluster)
      const back = performance.now()
      const before = traffic.acknowledged.length
      await until('messages are taken again', () => traffic.acknowledged.length > before)
      t.pass(`messages are taken again after ${(performance.now() - back).toFixed(0)} ms`)
      await until('all are ready', async () => (await balancer.up()) === instances.length)
      await delay(LOAD_MS)
      await traffic.end()
      t.ok(traffic.slowestPostMs < ANSWERED_WITHIN_MS, traffic.told)
      t.equal(traffic.withoutRetryAfter, 0, 'each 503 has Retry-After')
      acknowledged.push(...traffic.acknowledged)
      await assertExact(t, cluster, 'picture', instances, acknowledged)
    })
  }
})
