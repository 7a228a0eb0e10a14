import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { until } from '../instance.ts'
import { LOAD_MS } from '../load.ts'
import { DATABASE, startPicture } from '../picture.ts'
import { assertExact } from '../recount.ts'
import { Traffic } from '../traffic.ts'

t.test('one instance killed under load loses no acknowledged message', async (t) => {
  const { cluster, instances, balancer } = await startPicture(t)
  const traffic = new Traffic(balancer.url, 'kill-')
  await delay(LOAD_MS)
  const [victim] = instances
  await victim.kill()
  await until('the load balancer leaves it', async () => (await balancer.up()) === 2)
  await delay(LOAD_MS)
  await victim.start()
  await until('it has its share again', async () => (await victim.counted('created')) > 0)
  await delay(LOAD_MS)
  await traffic.end()
  t.pass(`the clients heard ${traffic.heard}; slowest answer ${traffic.slowestMs.toFixed(0)} ms`)
  await assertExact(t, cluster, DATABASE, instances, traffic.acknowledged)
})

t.test('a rolling restart of all three under load gives the client no error', async (t) => {
  const { cluster, instances, balancer } = await startPicture(t)
  const traffic = new Traffic(balancer.url, 'rolling-')
  await delay(LOAD_MS)
  for (const instance of instances) {
    t.equal(await instance.terminate(), 0, 'an instance ends with status 0')
    await instance.start()
    await until('it has its share again', async () => (await instance.counted('created')) > 0)
  }
  await delay(LOAD_MS)
  await traffic.end()
  t.equal(
    traffic.failures.size,
    0,
    `${traffic.acknowledged.length} posts and ${traffic.reads} reads heard ${traffic.heard}; slowest answer ${traffic.slowestMs.toFixed(0)} ms`,
  )
  await assertExact(t, cluster, DATABASE, instances, traffic.acknowledged)
})
