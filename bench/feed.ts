import { fork } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Bar, barTable, median, table, whole } from './figures.ts'
import { LoadProcess } from './load-process.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'
import { SECRET, startService } from './process.ts'
import type { TailsJob, TailsReport } from './tails.ts'

/** The streams that are open while messages are posted. */
const SITUATIONS = {
  none: undefined,
  /** Filtered, so that they receive nothing. */
  idle: { count: 100, query: 'after=now&from=nobody' },
  reading: { count: 10, query: 'after=now' },
} satisfies Record<string, Omit<TailsJob, 'url'> | undefined>

type Situation = keyof typeof SITUATIONS

/** The results file of `npm run bench:feed`. */
export interface FeedResults {
  date: string
  machine: Machine
  settings: { rounds: number; seconds: number }
  /** By round: messages stored per second into an empty file. */
  rounds: Record<Situation, number>[]
  /** Milliseconds from the response to a post until its event, without other load. */
  delayMs: { median: number; max: number }
  bars: Bar[]
}

const HELP = `node bench/feed.ts [--rounds 3] [--seconds 60] [--folder bench/data] [--out bench/results/feed.json]

Posts to /webhook over 64 connections while no stream of the feed is open, while 100 are open that receive nothing, and
while 10 receive everything, in turns, each into an empty file. Checks that the 10 receive every message.
`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '60' },
    folder: { type: 'string', default: new URL('./data', import.meta.url).pathname },
    out: { type: 'string', default: new URL('./results/feed.json', import.meta.url).pathname },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
const settings = { rounds: Number(values.rounds), seconds: Number(values.seconds) }

/** Messages whose delay is measured. */
const DELAYS = 50

mkdirSync(values.folder, { recursive: true })
const folder = mkdtempSync(join(values.folder, 'feed-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const machine = describeMachine(folder)
process.stdout.write(`${machineLine(machine)}\n`)
const load = new LoadProcess()
const tails = fork(new URL('./tails.ts', import.meta.url), { stdio: 'inherit' })

async function stoppedTails(): Promise<TailsReport> {
  tails.send('stop')
  const [received] = await once(tails, 'message')
  return received
}

/** Measures messages stored per second. @throws Error if a stream that reads everything misses a message. */
async function measure(name: string, situation: Situation): Promise<number> {
  const path = join(folder, `${name}.db`)
  const service = await startService(name, `sqlite:///${path}`, join(folder, name))
  const job = SITUATIONS[situation]
  if (job) {
    tails.send({ ...job, url: service.url } satisfies TailsJob)
    await once(tails, 'message')
  }
  const { seconds } = settings
  const report = await load.run({
    urls: [service.url],
    seconds,
    prefix: `${name}-`,
    connections: 64,
    prepare: 0,
  })
  if (job) {
    // The last messages arrive shortly after their responses.
    await new Promise((resolve) => setTimeout(resolve, 2000))
    const received = await stoppedTails()
    const fewest = Math.min(...received)
    if (situation === 'reading' && fewest < report.acknowledged) {
      throw new Error(`${name}: ${report.acknowledged} acknowledged, ${fewest} received`)
    }
  }
  await service.stop()
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  return report.acknowledged / report.seconds
}

/** Measures the delay between the response to a post and its event, one message at a time. */
async function measureDelays(): Promise<number[]> {
  const path = join(folder, 'delays.db')
  const service = await startService('delays', `sqlite:///${path}`, join(folder, 'delays'))
  const headers = { accept: 'text/event-stream' }
  const stream = get(`${service.url}/feed?after=now`, { headers, agent: false })
  const [response] = await once(stream, 'response')
  response.setEncoding('utf8')
  const delays: number[] = []
  for (let n = 0; n < DELAYS; n++) {
    const body = JSON.stringify({
      message_id: `m${n}`,
      from: '+919876543210',
      to: '+14155550100',
      ts: '2025-01-15T10:00:00Z',
    })
    const arrived = (async () => {
      for (;;) {
        const [chunk] = await once(response, 'data')
        if (chunk.includes(`"m${n}"`)) return performance.now()
      }
    })()
    const signature = createHmac('sha256', SECRET).update(body).digest('hex')
    const headers = { 'content-type': 'application/json', 'x-signature': signature }
    await fetch(`${service.url}/webhook`, { method: 'POST', headers, body })
    const answered = performance.now()
    delays.push((await arrived) - answered)
  }
  stream.destroy()
  await service.stop()
  return delays
}

const delays = await measureDelays()
const rounds: FeedResults['rounds'] = []
for (let round = 0; round < settings.rounds; round++) {
  const none = await measure(`none-${round}`, 'none')
  const idle = await measure(`idle-${round}`, 'idle')
  const reading = await measure(`reading-${round}`, 'reading')
  rounds.push({ none, idle, reading })
  process.stdout.write(`${whole(none)}/s, ${whole(idle)}/s, ${whole(reading)}/s\n`)
}
load.close()
tails.disconnect()

const costOf = (situation: 'idle' | 'reading') =>
  median(rounds.map(({ none, [situation]: rate }) => 1 - rate / none))
const percent = (share: number) => `${(share * 100).toFixed(0)} %`
const delayMs = { median: median(delays), max: Math.max(...delays) }
const bars: Bar[] = [
  {
    what: 'cost of 100 streams that receive nothing',
    expected: 'less than 5 % of the ingest',
    found: percent(costOf('idle')),
    pass: costOf('idle') < 0.05,
  },
  {
    what: 'cost of 10 streams that receive everything',
    expected: 'less than 30 % of the ingest',
    found: percent(costOf('reading')),
    pass: costOf('reading') < 0.3,
  },
  {
    what: 'delay from a 200 to the event',
    expected: 'less than 250 ms',
    found: `median ${delayMs.median.toFixed(0)} ms, longest ${delayMs.max.toFixed(0)} ms`,
    pass: delayMs.max < 250,
  },
]
const date = new Date().toISOString().slice(0, 10)
const results: FeedResults = { date, machine, settings, rounds, delayMs, bars }
writeFileSync(values.out, `${JSON.stringify(results, undefined, 2)}\n`)
process.stdout.write(
  `\n${table([
    ['no stream, messages/s', '100 that receive nothing', '10 that receive everything'],
    ...rounds.map(({ none, idle, reading }) => [none, idle, reading].map(whole)),
  ])}\n\n${barTable(bars)}\n`,
)
