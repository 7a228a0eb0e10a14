import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Client } from './client.ts'
import { corpusDatabase } from './corpus-database.ts'
import { type CorpusFile, corpusFile } from './corpus-file.ts'
import { openServer } from './database-server.ts'
import { type Bar, barTable, table, whole } from './figures.ts'
import { type Interference, interferenceBars, measureInterference } from './interference.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'
import { barsOf, type Measured, measure, type Served } from './measure.ts'
import { type ServerProcess, startService } from './process.ts'
import { QUERIES } from './queries.ts'
import { recount, type Said } from './recount.ts'

/** What `npm run bench:reads` writes. */
export interface ReadsResults {
  date: string
  machine: Machine
  /** The database server, where it is not SQLite. */
  server?: string
  files: { messages: number; mebibytes: number }[]
  questions: Measured[]
  interference: Interference | undefined
  bars: Bar[]
  /** Answers that a plain recount of the rows does not confirm; empty when all are right. */
  wrong: string[]
}

const HELP = `node bench/reads.ts [--sizes 10000,100000,1000000] [--runs 200] [--budget 30] [--rounds 3] [--seconds 5]
                    [--folder bench/data] [--out bench/results/reads.json] [--skip-searches]
                    [--store sqlite|postgres] [--postgres URL]

Asks a service on each size of database the same questions in turns, --runs times each or for --budget seconds,
and compares the answers with a recount. Then measures on the largest size up to a million what eight endless
searches cost everybody else, in --rounds rounds of --seconds seconds. Databases are made once, and kept.

With --store postgres, measures the same queries on PostgreSQL, without other searches, and writes
reads-postgres.json: on the server at the URL, or on one of its own in a temporary folder.
`

/** On this size nobody is to notice somebody's search. */
const INTERFERENCE_MESSAGES = 1_000_000

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
/** The URL of a database with a file's messages, which the service may write to. */
function databaseOf(file: CorpusFile): Promise<string> | string {
  if (database) return corpusDatabase(database, file.messages)
  // A copy: the service writes to its file, be it to show that it can, and the next run is to find the same.
  const path = join(folder, `${file.messages}.db`)
  copyFileSync(file.path, path)
  return `sqlite:///${path}`
}

const servers: ServerProcess[] = []
const served: Served[] = []
for (const file of files) {
  const name = `${file.messages}`
  const server = await startService(name, await databaseOf(file), join(folder, `${name}.log`))
  servers.push(server)
  served.push({ file, client: new Client(server.url) })
}

const questions: Measured[] = []
const bars: Bar[] = []
const said = new Map<CorpusFile, Said[]>()
for (const question of QUERIES) {
  const { measured, said: answers } = await measure(question, served, {
    runs: Number(values.runs),
    budgetMs: Number(values.budget) * 1000,
  })
  questions.push(measured)
  bars.push(...barsOf(question, measured, questions[0] ?? measured))
  for (const { file, said: answer } of answers) {
    said.set(file, [...(said.get(file) ?? []), answer])
  }
}
for (const { client } of served) client.close()
for (const server of servers) await server.stop()

const sizes = files.map(({ messages }) => messages)
process.stdout.write(
  `${table([
    ['median ms', ...sizes.map(whole), ...sizes.slice(1).map((size) => `${whole(size)} against`)],
    ...questions.map(({ name, timings }) => [
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

const wrong = [...said].flatMap(([file, answers]) => recount(file, answers))
const checked = [...said.values()].flat().length
bars.push({
  what: 'answers equal a plain recount',
  expected: 'all of them',
  found: wrong.length === 0 ? `${checked} checked` : wrong.join('; '),
  pass: wrong.length === 0,
})
if (!database)
  for (const { messages } of files) rmSync(join(folder, `${messages}.db`), { force: true })
await database?.remove()

const searched = files.findLast(({ messages }) => messages <= INTERFERENCE_MESSAGES)
let interference: Interference | undefined
if (searched && !database && !values['skip-searches']) {
  interference = await measureInterference(searched, folder, {
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
  questions,
  interference,
  bars,
  wrong,
}
mkdirSync(join(out, '..'), { recursive: true })
writeFileSync(out, `${JSON.stringify(found, undefined, 2)}\n`)
process.stdout.write(`${barTable(bars)}\n`)
if (wrong.length > 0) process.exitCode = 1
