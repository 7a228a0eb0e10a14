import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startBalancer } from '../tools/balancer.ts'
import { Candidate } from './candidates.ts'
import type { DatabaseServer } from './database-server.ts'
import type { LoadProcess } from './load-process.ts'
import type { Pgbench } from './pgbench.ts'
import { type ServerProcess, startService } from './process.ts'
import { postgresRecords } from './records.ts'

/** The results of a runner in one round; undefined if unknown. */
export interface Turn {
  /** Messages a second. */
  rate: number
  /** For pgbench the mean, as it does not report percentiles. */
  p50Ms?: number | undefined
  p99Ms?: number | undefined
  /** Cores used by the service, by PostgreSQL and by the load generator. */
  serverCpu?: number | undefined
  databaseCpu?: number | undefined
  loadCpu?: number | undefined
  /** Time from the end of the load until all messages were counted. */
  countedAfterMs?: number | undefined
}

/** A participant of the benchmark; runners take turns. */
export interface Runner {
  name: string
  title: string
  /** Runs one round. */
  turn(seconds: number): Promise<Turn>
  /** Stops it. @returns errors in its responses. */
  end(): Promise<string[]>
}

/** Resources shared by all runners. */
export interface Bench {
  server: DatabaseServer
  load: LoadProcess
  connections: number
  folder: string
}

/** Maximum time to wait after a round for the counters; longer counting overlaps with the next runner. */
const COUNTED_WITHIN_MS = 10_000

/** Makes a runner of a candidate. @param counted returns whether all its messages are counted. */
export function runner(
  { load, connections }: Bench,
  candidate: Candidate,
  counted?: () => Promise<boolean>,
): Runner {
  return {
    name: candidate.name,
    title: candidate.title,
    async turn(seconds) {
      const round = await candidate.round(load, { connections, seconds, counts: true })
      if (!counted) return round
      const ended = performance.now()
      while (!(await counted()) && performance.now() - ended < COUNTED_WITHIN_MS) await delay(20)
      return { ...round, countedAfterMs: performance.now() - ended }
    },
    end: () => candidate.stopAndCheck(),
  }
}

/** Starts instances on a new database. */
export async function startInstances(
  { server, folder }: Bench,
  name: string,
  count: number,
): Promise<{ url: string; servers: ServerProcess[] }> {
  const url = await server.create(name)
  const servers = Array.from({ length: count }, (_, number) =>
    startService(`${name}-${number}`, url, join(folder, `${name}-${number}.log`)),
  )
  return { url, servers: await Promise.all(servers) }
}

/** Starts instances on PostgreSQL. The load goes to each of them, or to a load balancer. */
export async function instancesRunner(
  bench: Bench,
  {
    name,
    title,
    count,
    balanced,
  }: { name: string; title: string; count: number; balanced: boolean },
): Promise<Runner> {
  const { url, servers } = await startInstances(bench, name, count)
  const ports = servers.map((instance) => Number(new URL(instance.url).port))
  const balancer = balanced ? await startBalancer(ports, bench.folder) : undefined
  const records = postgresRecords(url)
  const candidate = new Candidate(name, title, servers, {
    records,
    entry: balancer?.url,
    databaseCpuSeconds: bench.server.cpuSeconds,
  })
  const { turn } = runner(bench, candidate, async () => (await records.countPending()) === 0)
  return {
    name,
    title,
    turn,
    async end() {
      await balancer?.stop()
      return candidate.stopAndCheck()
    },
  }
}

/** Makes a runner of pgbench, with batches of `batch` messages or, without it, single messages. */
export function pgbenchRunner(
  { server }: Bench,
  pgbench: Pgbench,
  { name, title, clients, batch }: { name: string; title: string; clients: number; batch?: number },
): Runner {
  return {
    name,
    title,
    async turn(seconds) {
      const before = server.cpuSeconds()
      const { rate, latencyMs } = await pgbench.round({ clients, batch, seconds })
      const after = server.cpuSeconds()
      const databaseCpu =
        before === undefined || after === undefined ? undefined : (after - before) / seconds
      return { rate, p50Ms: latencyMs, databaseCpu }
    },
    end: async () => [],
  }
}
