import type { Test } from 'tap'
import { type Balancer, startBalancer } from '../../tools/balancer.ts'
import { Cluster } from '../../tools/cluster.ts'
import { folderOf } from '../service.ts'
import { Instance } from './instance.ts'

/** A PostgreSQL that ends with the test. */
export async function startCluster(t: Test): Promise<Cluster> {
  const cluster = await Cluster.start()
  t.teardown(() => cluster.remove())
  return cluster
}

/** An instance, not started yet, that ends with the test. */
export async function createInstance(
  t: Test,
  environment: Record<string, string>,
): Promise<Instance> {
  const instance = await Instance.create(environment, folderOf(t))
  t.teardown(() => instance.kill())
  return instance
}

/** What the profile `scale` of compose.yaml starts, on this machine: instances on one database, and a load balancer. */
export interface Topology {
  instances: readonly [Instance, Instance, Instance]
  balancer: Balancer
}

/** Starts three instances at once on the database at the URL, and then the load balancer; all end with the test. */
export async function startTopology(t: Test, url: string): Promise<Topology> {
  // The delay that compose.yaml has.
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
