import type { Test } from 'tap'
import { type Balancer, startBalancer } from '../../tools/balancer.ts'
import { Cluster } from '../../tools/cluster.ts'
import { folderOf } from '../service.ts'
import { Instance } from './instance.ts'

/** Starts a PostgreSQL server that is removed after the test. */
export async function startCluster(t: Test): Promise<Cluster> {
  const cluster = await Cluster.start()
  t.teardown(() => cluster.remove())
  return cluster
}

/** Returns an instance that is not started yet and is killed after the test. */
export async function createInstance(
  t: Test,
  environment: Record<string, string>,
): Promise<Instance> {
  const instance = await Instance.create(environment, folderOf(t))
  t.teardown(() => instance.kill())
  return instance
}

/** Three instances on one database and a load balancer, as in the profile `scale` of compose.yaml. */
export interface Topology {
  instances: readonly [Instance, Instance, Instance]
  balancer: Balancer
}

/** Starts three instances on a database, and then the load balancer; all of them end with the test. */
export async function startTopology(t: Test, url: string): Promise<Topology> {
  // The same delay as in compose.yaml.
  const create = () => createInstance(t, { DATABASE_URL: url, SHUTDOWN_DELAY_MS: '2000' })
  const instances = [await create(), await create(), await create()] as const
  await Promise.all(instances.map((instance) => instance.start()))
  const balancer = await startBalancer(
    instances.map(({ port }) => port),
    folderOf(t),
  )
  t.teardown(() => balancer.stop())
  return { instances, balancer }
}
