import type { Test } from 'tap'
import { folderOf } from '../helper.ts'
import { type Balancer, startBalancer } from './balancer.ts'
import { Cluster } from './cluster.ts'
import { Instance } from './instance.ts'

/** The database of a picture. */
export const DATABASE = 'webhook'

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

/** What the profile `scale` of compose.yaml starts, on this machine, with an empty database. */
export interface Picture {
  cluster: Cluster
  instances: readonly [Instance, Instance, Instance]
  balancer: Balancer
}

/** Starts PostgreSQL, three instances at once and the load balancer, which all end with the test. */
export async function startPicture(t: Test): Promise<Picture> {
  const cluster = await startCluster(t)
  const environment = {
    DATABASE_URL: await cluster.createDatabase(DATABASE),
    // As compose.yaml has it.
    SHUTDOWN_DELAY_MS: '2000',
  }
  const create = () => createInstance(t, environment)
  const instances = [await create(), await create(), await create()] as const
  await Promise.all(instances.map((instance) => instance.start()))
  const balancer = await startBalancer(instances, folderOf(t))
  t.teardown(() => balancer.stop())
  return { cluster, instances, balancer }
}
