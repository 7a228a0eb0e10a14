import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { programs } from '../tools/cluster.ts'
import { Candidate } from './candidates.ts'
import { openServer } from './database-server.ts'
import { median, table, whole } from './figures.ts'
import { LoadProcess } from './load-process.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'
import { Pgbench } from './pgbench.ts'
import {
  type Bench,
  instancesRunner,
  pgbenchRunner,
  type Runner,
  runner,
  startInstances,
  type Turn,
} from './runners.ts'

/** The results of a runner: the medians of its rounds. */
export interface PostgresSummary extends Turn {
  name: string
  title: string
  rounds: Turn[]
  /** Median of the ratios of its rate to that of the floor in the same round. */
  ofFloor: number
}

/** The results file of `npm run bench:postgres`. */
export interface PostgresResults {
  date: string
  machine: Machine
  server: string
  settings: { connections: number; rounds: number; seconds: number }
  standings: PostgresSummary[]
  /** Errors; empty if every 200 is exactly one row. */
  wrong: string[]
}

const HELP = `node bench/postgres.ts [--postgres URL] [--rounds 5] [--seconds 4] [--warm-up 2] [--connections 64]
                       [--out bench/results/postgres.json]

Compares, in turns, a bare Fastify server, this service on SQLite, one, two and three instances of it on PostgreSQL,
three behind haproxy, and pgbench with the same statement. Then checks that every 200 is a row. Without a URL it starts
a PostgreSQL server in a temporary folder.
`

/** Connections of pgbench, as many as an instance uses to store batches. */
const INGEST_CONNECTIONS = 3

const { values } = parseArgs({
  options: {
    postgres: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    'warm-up': { type: 'string', default: '2' },
    connections: { type: 'string', default: '64' },
    out: { type: 'string', default: new URL('./results/postgres.json', import.meta.url).pathname },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
const connections = Number(values.connections)
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)

const folder = mkdtempSync(join(tmpdir(), 'lyftr-bench-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const machine = describeMachine(folder)
const server = await openServer(values.postgres)
process.stdout.write(`${machineLine(machine)}\n${server.version}\n`)

const load = new LoadProcess()
const bench: Bench = { server, load, connections, folder }
const runners: Runner[] = [
  runner(bench, await Candidate.floor(folder)),
  runner(bench, await Candidate.service(folder, 'sqlite', 'SQLite')),
]
for (const [name, title, count, balanced] of [
  ['one', 'PostgreSQL, one instance', 1, false],
  ['two', 'PostgreSQL, two instances', 2, false],
  ['three', 'PostgreSQL, three instances', 3, false],
  ['behind', 'PostgreSQL, three behind haproxy', 3, true],
] as const) {
  runners.push(await instancesRunner(bench, { name, title, count, balanced }))
}

// An instance creates the schema, and stops so that it does not count during the measurement.
const plain = await startInstances(bench, 'plain', 1)
await Promise.all(plain.servers.map((instance) => instance.stop()))
const pgbench = await Pgbench.create(join(programs(), 'pgbench'), plain.url, folder)
for (const batch of [20, 200]) {
  const title = `pgbench, batches of ${batch}`
  const options = { name: `batches-${batch}`, title, clients: INGEST_CONNECTIONS, batch }
  runners.push(pgbenchRunner(bench, pgbench, options))
}
const single = { name: 'singles', title: 'pgbench, single messages', clients: connections }
runners.push(pgbenchRunner(bench, pgbench, single))

/** Runs one turn of each runner. */
async function takeTurns(label: string, length: number): Promise<Turn[]> {
  const turns: Turn[] = []
  for (const runner of runners) {
    const turn = await runner.turn(length)
    turns.push(turn)
    const figures = [
      [turn.p50Ms, 'p50', 'ms'],
      [turn.p99Ms, 'p99', 'ms'],
      [turn.serverCpu, 'cores: service', ''],
      [turn.databaseCpu, 'PostgreSQL', ''],
      [turn.loadCpu, 'load', ''],
      [turn.countedAfterMs, 'counted after', 'ms'],
    ] as const
    process.stdout.write(
      `${label}  ${runner.name.padEnd(11)} ${whole(turn.rate).padStart(7)}/s  ${figures
        .filter(([value]) => value !== undefined)
        .map(([value, name, unit]) => `${name} ${value?.toFixed(2)} ${unit}`.trim())
        .join('  ')}\n`,
    )
  }
  return turns
}

await takeTurns('warm-up', Number(values['warm-up']))
const turns: Turn[][] = []
for (let round = 1; round <= rounds; round++) turns.push(await takeTurns(`round ${round}`, seconds))
load.close()

const standings = runners.map(({ name, title }, at): PostgresSummary => {
  const own = turns.map((round) => round[at] ?? { rate: Number.NaN })
  const medianOf = (of: (turn: Turn) => number | undefined): number | undefined => {
    const known = own.map(of).filter((value) => value !== undefined)
    return known.length === 0 ? undefined : median(known)
  }
  return {
    name,
    title,
    rounds: own,
    rate: median(own.map(({ rate }) => rate)),
    ofFloor: median(turns.map((round, n) => (own[n]?.rate ?? 0) / (round[0]?.rate ?? Number.NaN))),
    p50Ms: medianOf((turn) => turn.p50Ms),
    p99Ms: medianOf((turn) => turn.p99Ms),
    serverCpu: medianOf((turn) => turn.serverCpu),
    databaseCpu: medianOf((turn) => turn.databaseCpu),
    loadCpu: medianOf((turn) => turn.loadCpu),
    countedAfterMs: medianOf((turn) => turn.countedAfterMs),
  }
})

const wrong: string[] = []
for (const runner of runners) wrong.push(...(await runner.end()))
await server.remove()

const results: PostgresResults = {
  date: new Date().toISOString().slice(0, 10),
  machine,
  server: server.version,
  settings: { connections, rounds, seconds },
  standings,
  wrong,
}
mkdirSync(join(values.out, '..'), { recursive: true })
writeFileSync(values.out, `${JSON.stringify(results, undefined, 2)}\n`)

const cell = (value: number | undefined, digits = 2): string => value?.toFixed(digits) ?? ''
process.stdout.write(
  `\n${table([
    ['', 'messages/s', 'of the floor', 'p50 ms', 'p99 ms', 'service cores', 'PostgreSQL', 'load'],
    ...standings.map(({ title, rate, ofFloor, p50Ms, p99Ms, serverCpu, databaseCpu, loadCpu }) => [
      title,
      whole(rate),
      cell(ofFloor),
      cell(p50Ms),
      cell(p99Ms),
      cell(serverCpu),
      cell(databaseCpu),
      cell(loadCpu),
    ]),
  ])}\n\n${wrong.length === 0 ? 'every 200 is a row' : wrong.join('\n')}\n`,
)
if (wrong.length > 0) process.exitCode = 1
