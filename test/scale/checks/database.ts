import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Cluster } from '../cluster.ts'
import { answers, until } from '../instance.ts'
import { LOAD_MS } from '../load.ts'
import { DATABASE, startPicture } from '../picture.ts'
import { assertExact } from '../recount.ts'
import { Traffic } from '../traffic.ts'

/** How long the database stays away. */
const AWAY_MS = 2500

/** No answer takes longer while the database is away: 5 s, and what the clients' own machine takes. */
const ANSWER_WITHIN_MS = 5500

const WAYS: [string, (cluster: Cluster) => Promise<void> | void][] = [
  ['shut down', (cluster) => cluster.stop('fast')],
  ['shut down at once', (cluster) => cluster.stop('immediate')],
  ['killed', (cluster) => cluster.kill()],
]

t.test('PostgreSQL restarted under load loses nothing acknowledged', async (t) => {
  const { cluster, instances, balancer } = await startPicture(t)
  const acknowledged: string[] = []
  for (const [way, end] of WAYS) {
    await t.test(way, async (t) => {
      const traffic = new Traffic(balancer.url, `${way}-`)
      await delay(LOAD_MS)
      await end(cluster)
      const gone = performance.now()
      await until('no instance is ready', async () => {
        const ready = await Promise.all(instances.map((instance) => instance.ready()))
        return !ready.includes(true)
      })
      const noticedMs = performance.now() - gone
      t.ok(noticedMs < 2000, `no instance is ready after ${noticedMs.toFixed(0)} ms`)
      for (const { url } of instances) t.ok(await answers(`${url}/health/live`), 'it is alive')
      await delay(AWAY_MS)
      await cluster.startAgain()
      const back = performance.now()
      const before = traffic.acknowledged.length
      await until('messages are taken again', () => traffic.acknowledged.length > before)
      t.pass(`messages are taken again after ${(performance.now() - back).toFixed(0)} ms`)
      await until('the load balancer holds all for ready', async () => (await balancer.up()) === 3)
      await delay(LOAD_MS)
      await traffic.end()
      t.pass(`${traffic.acknowledged.length} acknowledged; the clients heard ${traffic.heard}`)
      t.ok(
        traffic.slowestMs < ANSWER_WITHIN_MS,
        `the slowest answer took ${traffic.slowestMs.toFixed(0)} ms`,
      )
      t.equal(traffic.withoutRetryAfter, 0, 'each 503 has Retry-After')
      acknowledged.push(...traffic.acknowledged)
    })
  }
  await assertExact(t, cluster, DATABASE, instances, acknowledged)
})
