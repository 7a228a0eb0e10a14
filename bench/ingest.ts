import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Candidate, type Summary } from './candidates.ts'
import { corpusFile } from './corpus-file.ts'
import { openServer } from './database-server.ts'
import { type Bar, barTable, median, table, whole } from './figures.ts'
import { LoadProcess } from './load-process.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'
import { measureSustained, type Sustained, sustainedBars } from './sustained.ts'

/** The results file of `npm run bench`. */
export interface IngestResults {
  date: string
  machine: Machine
  /** `minute`: seconds of full load; `large`: messages in the large file; the others: of the bursts. */
  settings: { connections: number; rounds: number; seconds: number; minute: number; large: number }
  /** Full load for a minute: on an empty file, and on a large one. */
  sustained: Sustained[]
  /** Bursts of some seconds, in turns. */
  candidates: Summary[]
  /** By candidate: the median of the ratios of its rate to that of the floor in the same round. */
  ratios: Record<string, number>
  bars: Bar[]
  /** Errors; empty if every 200 is exactly one row. */
  wrong: string[]
}

const HELP = `node bench/ingest.ts [--minute 60] [--large 3000000] [--rounds 5] [--seconds 5] [--warm-up 3]
                     [--connections 64] [--postgres URL] [--folder bench/data] [--out bench/results/ingest.json]

Loads the service for --minute seconds, on an empty file and on one of --large messages (created once, and kept), right
after and before a bare Fastify server, the floor. Then compares, in turns and in bursts, the floor, the service, and
the usual first designs. Checks that every 200 is a row.
`

const { values } = parseArgs({
  options: {
    minute: { type: 'string', default: '60' },
    large: { type: 'string', default: '3000000' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    'warm-up': { type: 'string', default: '3' },
    connections: { type: 'string', default: '64' },
    postgres: { type: 'string' },
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
  large: Number(values.large),
}

mkdirSync(values.folder, { recursive: true })
const large = await corpusFile(values.folder, settings.large)
const folder = mkdtempSync(join(values.folder, 'ingest-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const machine = describeMachine(folder)
process.stdout.write(`${machineLine(machine)}\n`)

const load = new LoadProcess()
const floor = await Candidate.floor(folder)
await floor.round(load, { ...settings, seconds: Number(values['warm-up']), counts: false })

const sustained: Sustained[] = []
for (const file of [undefined, large]) {
  const found = await measureSustained(load, floor, {
    folder,
    ...(file && { file }),
    seconds: settings.minute,
    connections: settings.connections,
  })
  sustained.push(found)
  process.stdout.write(
    `${whole(found.messages).padStart(9)} messages in the file: ${whole(found.rate)}/s, ` +
      `${found.ratio.toFixed(2)} of the floor, p50 ${found.p50Ms.toFixed(1)} ms, ` +
      `p99 ${found.p99Ms.toFixed(1)} ms, longest ${whole(found.maxMs)} ms\n`,
  )
}

const server = await openServer(values.postgres)
const started = [
  await Candidate.service(folder, 'service', 'this service'),
  await Candidate.service(folder, 'single', 'this service, one commit a request', {
    MAX_BATCH: '1',
  }),
  await Candidate.plainSqlite(folder),
  await Candidate.plainPostgres(folder, await server.create('plain')),
  await Candidate.legacy(folder),
]
const candidates = [floor, ...started.filter((candidate) => candidate !== undefined)]

async function takeTurns(rounds: number, seconds: number, counts: boolean): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    for (const candidate of candidates) {
      const { connections } = settings
      const found = await candidate.round(load, { connections, seconds, counts })
      const { rate, p50Ms, p99Ms, serverCpu, loadCpu } = found
      process.stdout.write(
        `${counts ? `round ${round}` : 'warm-up'}  ${candidate.name.padEnd(14)} ${whole(rate).padStart(7)}/s  ` +
          `p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms  ` +
          `cores: server ${serverCpu.toFixed(2)}, load ${loadCpu.toFixed(2)}\n`,
      )
    }
  }
}

floor.reset()
await takeTurns(1, Number(values['warm-up']), false)
await takeTurns(settings.rounds, settings.seconds, true)
const summaries = candidates.map((candidate) => candidate.summary())
load.close()

const wrong = sustained.flatMap((found) => found.wrong)
for (const candidate of candidates) wrong.push(...(await candidate.stopAndCheck()))
await server.remove()

const [floorRounds] = summaries.map(({ rounds }) => rounds)
const ratios = Object.fromEntries(
  summaries.map(({ name, rounds }) => [
    name,
    median(rounds.map(({ rate }, round) => rate / (floorRounds?.[round]?.rate ?? Number.NaN))),
  ]),
)
const bars = [
  ...sustained.flatMap(sustainedBars),
  {
    what: 'every 200 is a row',
    expected: 'all of them',
    found: wrong.length === 0 ? 'checked' : wrong.join('; '),
    pass: wrong.length === 0,
  },
]

const results: IngestResults = {
  date: new Date().toISOString().slice(0, 10),
  machine,
  settings,
  sustained,
  candidates: summaries,
  ratios,
  bars,
  wrong,
}
mkdirSync(join(values.out, '..'), { recursive: true })
writeFileSync(values.out, `${JSON.stringify(results, undefined, 2)}\n`)

process.stdout.write(
  `\n${table([
    ['bursts', 'requests/s', 'p50 ms', 'p99 ms', 'of the floor', 'peak MiB', 'rejected'],
    ...summaries.map(({ title, name, rate, p50Ms, p99Ms, peakMemoryMiB, rejected }) => [
      title,
      whole(rate),
      p50Ms.toFixed(2),
      p99Ms.toFixed(2),
      (ratios[name] ?? Number.NaN).toFixed(2),
      peakMemoryMiB === undefined ? '' : whole(peakMemoryMiB),
      whole(rejected),
    ]),
  ])}\n\n${barTable(bars)}\n`,
)
if (wrong.length > 0) process.exitCode = 1
