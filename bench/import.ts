import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { writeMessages } from '../tools/corpus.ts'
import { type Bar, barTable, table, whole } from './figures.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'
import { messageId } from './message-id.ts'

/** The results file of `npm run bench:import`. */
export interface ImportResults {
  date: string
  machine: Machine
  /** Messages of each import. */
  messages: number
  /** One import after the other into the same file, in messages per second. */
  imports: { before: number; rate: number; databaseMiB: number }[]
  bars: Bar[]
}

const HELP = `node bench/import.ts [--messages 500000] [--imports 6] [--folder bench/data]
                     [--out bench/results/import.json]

Imports --messages messages with random ids, --imports times into the same SQLite file.
`

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '500000' },
    imports: { type: 'string', default: '6' },
    folder: { type: 'string', default: new URL('./data', import.meta.url).pathname },
    out: { type: 'string', default: new URL('./results/import.json', import.meta.url).pathname },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
const messages = Number(values.messages)
mkdirSync(values.folder, { recursive: true })
const folder = mkdtempSync(join(values.folder, 'import-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const machine = describeMachine(folder)
process.stdout.write(`${machineLine(machine)}\n`)
const database = join(folder, 'app.db')
const input = join(folder, 'messages.ndjson')

/** The lines of one import; the ids differ from those of all other imports. */
function* lines(seed: number): Generator<string> {
  let number = 0
  for (const { from_msisdn, to_msisdn, ts, text } of writeMessages(messages, seed)) {
    const message_id = messageId(`${seed}-`, number++)
    yield `${JSON.stringify({ message_id, from: from_msisdn, to: to_msisdn, ts, text })}\n`
  }
}

/** Runs the command. Returns its seconds. @throws if it does not store every message. */
async function runImport(): Promise<number> {
  const started = performance.now()
  const program = new URL('../bin/lyftr-webhook.js', import.meta.url).pathname
  const child = spawn(process.execPath, [program, 'import', input], {
    env: { ...process.env, DATABASE_URL: `sqlite:///${database}` },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  await once(child, 'close')
  if (!output.startsWith(`created ${messages},`)) throw new Error(`import printed: ${output}`)
  return (performance.now() - started) / 1000
}

const imports: ImportResults['imports'] = []
for (let number = 0; number < Number(values.imports); number++) {
  await pipeline(lines(number + 1), createWriteStream(input))
  const rate = messages / (await runImport())
  const databaseMiB = Math.round(statSync(database).size / 2 ** 20)
  imports.push({ before: number * messages, rate, databaseMiB })
  process.stdout.write(`${whole(number * messages).padStart(10)} before: ${whole(rate)}/s\n`)
}

const first = imports[0]?.rate ?? Number.NaN
const last = imports.at(-1)?.rate ?? Number.NaN
const bars: Bar[] = [
  {
    what: 'the last import against the first',
    expected: 'at most 1.3 times slower',
    found: `${(first / last).toFixed(2)} times`,
    pass: first / last <= 1.3,
  },
  {
    what: 'the slowest import',
    expected: 'at least 25,000/s',
    found: `${whole(Math.min(...imports.map(({ rate }) => rate)))}/s`,
    pass: imports.every(({ rate }) => rate >= 25_000),
  },
]
const results: ImportResults = {
  date: new Date().toISOString().slice(0, 10),
  machine,
  messages,
  imports,
  bars,
}
writeFileSync(values.out, `${JSON.stringify(results, undefined, 2)}\n`)
process.stdout.write(
  `\n${table([
    ['messages before', 'messages/s', 'database MiB'],
    ...imports.map(({ before, rate, databaseMiB }) => [
      whole(before),
      whole(rate),
      whole(databaseMiB),
    ]),
  ])}\n\n${barTable(bars)}\n`,
)
