import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startBalancer } from '../tools/balancer.ts'
import { Candidate } from './candidates.ts'
import type { DatabaseServer } from './database-server.ts'
import type { LoadProcess } from './load-process.ts'
import type { Pgbench } from './pgbench.ts'
import { type ServerProcess, startService } from './process.ts'
import { postgresRecords } from './records.ts'

/** One round of somebody's turn; undefined is what nothing tells. */
export interface Turn {
  /** Messages a second. */
  rate: number
  /** Of pgbench the mean, which is all it tells. */
  p50Ms?: number | undefined
  p99Ms?: number | undefined
  /** Cores: of its own processes, of PostgreSQL, of the load. */
  serverCpu?: number | undefined
  databaseCpu?: number | undefined
  loadCpu?: number | undefined
  /** How long it took afterwards until the last message was in the counters. */
  countedAfterMs?: number | undefined
}

/** Somebody who takes turns. */
export interface Runner {
  name: string
  title: string
  turn(seconds: number): Promise<Turn>
  /** Ends it. @returns what does not hold of what it answered. */
  end(): Promise<string[]>
}

/** What every runner works with. */
export interface Bench {
  server: DatabaseServer
  load: LoadProcess
  connections: number
  folder: string
}

/** How long the counters may take to be up to date, in milliseconds; whatever is left by then disturbs the next one. */
const COUNTED_WITHIN_MS = 10_000

/** A candidate as a runner. @param counted whether nothing is left for it to do. */
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

/** Instances on an empty database of their own. */
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

/** Instances on PostgreSQL; the load goes to each of them, or to the load balancer in front of them. */
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

/** pgbench with batches of that many messages, or with single ones. */
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
