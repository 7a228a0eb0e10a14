import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Candidate, type Summary } from './candidates.ts'
import { type Bar, barTable, median, table, whole } from './figures.ts'
import { LoadProcess } from './load-process.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'

/** The results file of `npm run bench`. */
export interface IngestResults {
  date: string
  machine: Machine
  settings: { connections: number; rounds: number; seconds: number; minute: number }
  candidates: Summary[]
  /** Messages a second of the service in the minute after the rounds, while indexing has to keep up. */
  minuteRate: number
  /** By candidate: the median of the ratios of its rate to that of the floor in the same round. */
  ratios: Record<string, number>
  bars: Bar[]
  /** Errors; empty if every 200 is exactly one row. */
  wrong: string[]
}

const HELP = `node bench/ingest.ts [--rounds 5] [--seconds 5] [--warm-up 3] [--connections 64] [--minute 60]
                     [--folder bench/data] [--out bench/results/ingest.json]

Compares, in turns, a bare Fastify server, this service, and this service with one commit per request. Then loads the
service for --minute seconds more to measure its memory, and checks that every 200 is a row.
`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    'warm-up': { type: 'string', default: '3' },
    connections: { type: 'string', default: '64' },
    minute: { type: 'string', default: '60' },
    folder: { type: 'string', default: new URL('./data', import.meta.url).pathname },
    out: { type: 'string', default: new URL('./results/ingest.json', import.meta.url).pathname },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
const settings = {
  connections: Number(values.connections),
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  minute: Number(values.minute),
}

mkdirSync(values.folder, { recursive: true })
const folder = mkdtempSync(join(values.folder, 'ingest-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const machine = describeMachine(folder)
process.stdout.write(`${machineLine(machine)}\n`)

const floor = await Candidate.floor(folder)
const service = await Candidate.service(folder, 'service', 'this service')
const single = await Candidate.service(folder, 'single', 'one commit a request', {
  MAX_BATCH: '1',
})
const candidates = [floor, service, single]
const load = new LoadProcess()

async function takeTurns(rounds: number, seconds: number, counts: boolean): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    for (const candidate of candidates) {
      const { rate, p50Ms, p99Ms, serverCpu, loadCpu } = await candidate.round(load, {
        connections: settings.connections,
        seconds,
        counts,
      })
      process.stdout.write(
        `${counts ? `round ${round}` : 'warm-up'}  ${candidate.name.padEnd(7)} ${whole(rate).padStart(7)}/s  ` +
          `p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms  ` +
          `cores: server ${serverCpu.toFixed(2)}, load ${loadCpu.toFixed(2)}\n`,
      )
    }
  }
}

await takeTurns(1, Number(values['warm-up']), false)
await takeTurns(settings.rounds, settings.seconds, true)
const summaries = candidates.map((candidate) => candidate.summary())

// In slices: the load generator prepares its requests before each slice, not while the service runs.
const minute: number[] = []
for (let left = settings.minute; left > 0; left -= settings.seconds) {
  const { rate } = await service.round(load, {
    connections: settings.connections,
    seconds: settings.seconds,
    counts: false,
  })
  minute.push(rate)
}
const minuteRate = median(minute)
const peak = service.summary().peakMemoryMiB
load.close()

const wrong: string[] = []
for (const candidate of candidates) wrong.push(...(await candidate.stopAndCheck()))

const [floorRounds] = summaries.map(({ rounds }) => rounds)
const ratios = Object.fromEntries(
  summaries.map(({ name, rounds }) => [
    name,
    median(rounds.map(({ rate }, round) => rate / (floorRounds?.[round]?.rate ?? Number.NaN))),
  ]),
)
const ratio = ratios.service ?? Number.NaN
const bars: Bar[] = [
  {
    what: 'ingest, relative to the floor',
    expected: 'at least 0.60',
    found: ratio.toFixed(2),
    pass: ratio >= 0.6,
  },
  {
    what: 'ingest, relative to the floor: stretch target',
    expected: 'at least 0.75',
    found: ratio.toFixed(2),
    pass: ratio >= 0.75,
  },
  {
    what: 'peak memory of the service',
    expected: 'under 256 MiB',
    found: peak === undefined ? 'unknown' : `${whole(peak)} MiB`,
    pass: peak !== undefined && peak < 256,
  },
  {
    what: 'every 200 is a row',
    expected: 'all of them',
    found:
      wrong.length === 0 ? `${whole(service.summary().acknowledged)} checked` : wrong.join('; '),
    pass: wrong.length === 0,
  },
]

const results: IngestResults = {
  date: new Date().toISOString().slice(0, 10),
  machine,
  settings,
  candidates: summaries.map((summary) =>
    summary.name === 'service' ? { ...summary, peakMemoryMiB: peak } : summary,
  ),
  minuteRate,
  ratios,
  bars,
  wrong,
}
mkdirSync(join(values.out, '..'), { recursive: true })
writeFileSync(values.out, `${JSON.stringify(results, undefined, 2)}\n`)

process.stdout.write(
  `\n${table([
    ['', 'requests/s', 'p50 ms', 'p99 ms', 'of the floor', 'peak MiB', 'rejected'],
    ...results.candidates.map(({ title, name, rate, p50Ms, p99Ms, peakMemoryMiB, rejected }) => [
      title,
      whole(rate),
      p50Ms.toFixed(2),
      p99Ms.toFixed(2),
      (ratios[name] ?? Number.NaN).toFixed(2),
      peakMemoryMiB === undefined ? '' : whole(peakMemoryMiB),
      whole(rejected),
    ]),
  ])}\n\nin the minute after: ${whole(minuteRate)}/s\n\n${barTable(bars)}\n`,
)
if (wrong.length > 0) process.exitCode = 1
