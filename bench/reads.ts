import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { AGGREGATES } from './aggregates.ts'
import { Client } from './client.ts'
import { corpusDatabase } from './corpus-database.ts'
import { type CorpusFile, corpusFile } from './corpus-file.ts'
import { openServer } from './database-server.ts'
import { type Export, exportBars, measureExports } from './exports.ts'
import { type Bar, barTable, table, whole } from './figures.ts'
import { type Interference, interferenceBars, measureInterference } from './interference.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'
import { barsOf, type Measured, measure, type Served } from './measure.ts'
import { type ServerProcess, startService } from './process.ts'
import { QUERIES } from './queries.ts'
import { type QueryResponse, recount } from './recount.ts'

/** The results file of `npm run bench:reads`. */
export interface ReadsResults {
  date: string
  machine: Machine
  /** Version of the database server; absent for SQLite. */
  server?: string
  files: { messages: number; mebibytes: number }[]
  /** The latencies of each query. */
  queries: Measured[]
  /** Exports of the largest size up to a million. Absent from results of earlier versions. */
  exports?: Export[]
  /** Absent if it was not measured. */
  interference: Interference | undefined
  bars: Bar[]
  /** Responses that differ from a recount of the rows; empty if all are correct. */
  wrong: string[]
}

const HELP = `node bench/reads.ts [--sizes 10000,100000,1000000] [--runs 200] [--budget 30] [--rounds 3] [--seconds 5]
                    [--folder bench/data] [--out bench/results/reads.json] [--skip-searches]
                    [--store sqlite|postgres] [--postgres URL]

Sends the same queries to a service on each size of database, in turns, --runs times each or for --budget seconds, and
compares the responses with a recount. Then measures, on the largest size up to a million, exports, and how eight
continuous searches affect ingest and other reads, in --rounds rounds of --seconds seconds. Databases are created once,
and kept.

With --store postgres, measures the same queries on PostgreSQL, without continuous searches, and writes
reads-postgres.json. Uses the server at the URL, or starts a temporary one.
`

/** Maximum size on which exports, and the effect of searches on other requests, are measured. */
const MAX_MESSAGES = 1_000_000

const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '10000,100000,1000000' },
    runs: { type: 'string', default: '200' },
    budget: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    folder: { type: 'string', default: new URL('./data', import.meta.url).pathname },
    out: { type: 'string' },
    store: { type: 'string', default: 'sqlite' },
    postgres: { type: 'string' },
    'skip-searches': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(HELP)
  process.exit(0)
}

const onPostgres = values.store === 'postgres' || values.postgres !== undefined
const results = onPostgres ? 'reads-postgres.json' : 'reads.json'
const out = values.out ?? new URL(`./results/${results}`, import.meta.url).pathname

const files: CorpusFile[] = []
for (const size of values.sizes
  .split(',')
  .map(Number)
  .sort((a, b) => a - b)) {
  process.stdout.write(`${whole(size)} messages\n`)
  files.push(await corpusFile(values.folder, size))
}
const folder = mkdtempSync(join(values.folder, 'reads-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const machine = describeMachine(folder)
process.stdout.write(`${machineLine(machine)}\n\n`)

const database = onPostgres ? await openServer(values.postgres) : undefined
/** Creates a database with the messages of a file, which the service may write to. @returns its URL. */
function databaseOf(file: CorpusFile): Promise<string> | string {
  if (database) return corpusDatabase(database, file.messages)
  // A copy, since the readiness check writes to the file and the next run needs it unchanged.
  const path = join(folder, `${file.messages}.db`)
  copyFileSync(file.path, path)
  return `sqlite:///${path}`
}

const servers: ServerProcess[] = []
const served: Served[] = []
const urls = new Map<CorpusFile, string>()
for (const file of files) {
  const name = `${file.messages}`
  const url = await databaseOf(file)
  urls.set(file, url)
  const server = await startService(name, url, join(folder, `${name}.log`))
  servers.push(server)
  served.push({ file, client: new Client(server.url) })
}

const queries: Measured[] = []
const bars: Bar[] = []
const responses = new Map<CorpusFile, QueryResponse[]>()
for (const query of [...QUERIES, ...AGGREGATES]) {
  const { measured, responses: received } = await measure(query, served, {
    runs: Number(values.runs),
    budgetMs: Number(values.budget) * 1000,
  })
  queries.push(measured)
  bars.push(...barsOf(query, measured, queries[0] ?? measured))
  for (const { file, response } of received) {
    responses.set(file, [...(responses.get(file) ?? []), response])
  }
}
for (const { client } of served) client.close()
for (const server of servers) await server.stop()

const largest = files.findLast(({ messages }) => messages <= MAX_MESSAGES)
const exports = largest ? await measureExports(largest, urls.get(largest) ?? '', folder) : []

const sizes = files.map(({ messages }) => messages)
process.stdout.write(
  `${table([
    ['median ms', ...sizes.map(whole), ...sizes.slice(1).map((size) => `${whole(size)} ratio`)],
    ...queries.map(({ name, timings }) => [
      name,
      ...timings.map(({ medianMs, status }) =>
        status === 200 ? medianMs.toFixed(2) : `(${status})`,
      ),
      ...timings
        .slice(1)
        .map(({ medianMs }) => `${(medianMs / (timings[0]?.medianMs ?? Number.NaN)).toFixed(2)}×`),
    ]),
  ])}\n\n`,
)

process.stdout.write(
  `${table([
    ['export', 'messages', 'seconds', 'growth of memory, MiB'],
    ...exports.map(({ format, messages, seconds, growthMiB = Number.NaN }) => [
      format,
      whole(messages),
      seconds.toFixed(1),
      growthMiB.toFixed(1),
    ]),
  ])}\n\n`,
)

const wrong = [...responses].flatMap(([file, received]) => recount(file, received))
const checked = [...responses.values()].flat().length
bars.push({
  what: 'responses equal a recount',
  expected: 'all of them',
  found: wrong.length === 0 ? `${checked} checked` : wrong.join('; '),
  pass: wrong.length === 0,
})
bars.push(...exportBars(exports))
if (!database)
  for (const { messages } of files) rmSync(join(folder, `${messages}.db`), { force: true })
await database?.remove()

let interference: Interference | undefined
if (largest && !database && !values['skip-searches']) {
  interference = await measureInterference(largest, folder, {
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
  })
  bars.push(...interferenceBars(interference))
}

const found: ReadsResults = {
  date: new Date().toISOString().slice(0, 10),
  machine,
  ...(database ? { server: database.version } : {}),
  files: files.map(({ messages, mebibytes }) => ({ messages, mebibytes })),
  queries,
  exports,
  interference,
  bars,
  wrong,
}
mkdirSync(join(out, '..'), { recursive: true })
writeFileSync(out, `${JSON.stringify(found, undefined, 2)}\n`)
process.stdout.write(`${barTable(bars)}\n`)
if (wrong.length > 0 || exports.some(({ error }) => error !== undefined)) process.exitCode = 1
