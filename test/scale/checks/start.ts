import t from 'tap'
import { createInstance, DATABASE, startCluster } from '../picture.ts'

const INSTANCES = 10

t.test('ten instances that start at once on an empty database all come up', async (t) => {
  const cluster = await startCluster(t)
  const environment = { DATABASE_URL: await cluster.createDatabase(DATABASE) }
  const instances = await Promise.all(
    Array.from({ length: INSTANCES }, () => createInstance(t, environment)),
  )
  const started = performance.now()
  await Promise.all(instances.map((instance) => instance.start()))
  const seconds = (performance.now() - started) / 1000
  t.pass(`${INSTANCES} instances are ready after ${seconds.toFixed(1)} s`)
  const statuses = await Promise.all(instances.map((instance) => instance.terminate()))
  t.strictSame(
    statuses,
    statuses.map(() => 0),
    'each ends with status 0',
  )
})
