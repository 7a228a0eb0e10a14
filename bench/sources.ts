import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Bar, barTable, median, table, whole } from './figures.ts'
import { LoadProcess } from './load-process.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'
import { SECRET, startService } from './process.ts'

/** The results file of `npm run bench:sources`. */
export interface SourcesResults {
  date: string
  machine: Machine
  settings: { rounds: number; seconds: number; messagesPerBody: number }
  /** By round: messages per second into an empty file, and the p99 of a body of Meta in milliseconds. */
  rounds: { webhook: number; meta: number; metaP99Ms: number }[]
  bars: Bar[]
}

const HELP = `node bench/sources.ts [--rounds 3] [--seconds 60] [--messages 100] [--folder bench/data]
                      [--out bench/results/sources.json]

Posts to /webhook over 64 connections, and bodies of --messages messages to /webhook/meta over 16, in turns, each into
an empty file. Checks that every message of every 200 is stored.
`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '60' },
    messages: { type: 'string', default: '100' },
    folder: { type: 'string', default: new URL('./data', import.meta.url).pathname },
    out: { type: 'string', default: new URL('./results/sources.json', import.meta.url).pathname },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
const settings = {
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  messagesPerBody: Number(values.messages),
}

/** Bodies of Meta that are prepared for each second of load. */
const BODIES_PER_SECOND = 250

mkdirSync(values.folder, { recursive: true })
const folder = mkdtempSync(join(values.folder, 'sources-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const machine = describeMachine(folder)
process.stdout.write(`${machineLine(machine)}\n`)
const load = new LoadProcess()

/**
 * Starts a service on an empty file, and measures messages per second and the p99 of a body in milliseconds.
 * @throws Error if an acknowledged message is not stored.
 */
async function measure(name: string, source: 'webhook' | 'meta') {
  const path = join(folder, `${name}.db`)
  const environment = { META_APP_SECRET: SECRET }
  const service = await startService(name, `sqlite:///${path}`, join(folder, name), environment)
  const { seconds, messagesPerBody } = settings
  const isMeta = source === 'meta'
  const report = await load.run({
    urls: [service.url],
    seconds,
    prefix: `${name}-`,
    connections: isMeta ? 16 : 64,
    prepare: isMeta ? BODIES_PER_SECOND * seconds : 0,
    ...(isMeta && { messagesPerBody }),
  })
  const response = await fetch(`${service.url}/stats`)
  const { total_messages } = (await response.json()) as { total_messages: number }
  await service.stop()
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  const messages = report.acknowledged * (isMeta ? messagesPerBody : 1)
  if (total_messages < messages) {
    throw new Error(`${name}: ${messages} acknowledged, ${total_messages} stored`)
  }
  return { rate: messages / report.seconds, p99Ms: report.p99Ms }
}

const rounds: SourcesResults['rounds'] = []
for (let round = 0; round < settings.rounds; round++) {
  const webhook = await measure(`webhook-${round}`, 'webhook')
  const meta = await measure(`meta-${round}`, 'meta')
  rounds.push({ webhook: webhook.rate, meta: meta.rate, metaP99Ms: meta.p99Ms })
  process.stdout.write(`webhook ${whole(webhook.rate)}/s, meta ${whole(meta.rate)}/s\n`)
}
load.close()

const ratio = median(rounds.map(({ webhook, meta }) => meta / webhook))
const rate = median(rounds.map(({ meta }) => meta))
const bars: Bar[] = [
  {
    what: `messages of Meta in bodies of ${settings.messagesPerBody}, a minute`,
    expected: 'at least 60,000/s, or 4 times those of /webhook',
    found: `${whole(rate)}/s, ${ratio.toFixed(2)} times`,
    pass: rate >= 60_000 || ratio >= 4,
  },
]
const date = new Date().toISOString().slice(0, 10)
const results: SourcesResults = { date, machine, settings, rounds, bars }
writeFileSync(values.out, `${JSON.stringify(results, undefined, 2)}\n`)
process.stdout.write(
  `\n${table([
    ['/webhook, messages/s', '/webhook/meta, messages/s', 'p99 of a body, ms'],
    ...rounds.map(({ webhook, meta, metaP99Ms }) => [
      whole(webhook),
      whole(meta),
      metaP99Ms.toFixed(0),
    ]),
  ])}\n\n${barTable(bars)}\n`,
)
