import { createHmac } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { writeMessages } from '../tools/corpus.ts'
import { RARE_WORD } from '../tools/words.ts'
import { Client } from './client.ts'
import { type Bar, barTable, median, percentile, whole } from './figures.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'
import { SECRET, startService } from './process.ts'

interface Latencies {
  count: number
  p50Ms: number
  p99Ms: number
}

/** The resources of the service at one time, and the latencies since the previous sample. */
interface Sample {
  second: number
  memoryMiB: number
  descriptors: number
  /** Latencies of posts. */
  messages: Latencies
  /** Latencies of reads. */
  queries: Latencies
}

/** The results file of `npm run soak`. */
export interface SoakResults {
  date: string
  machine: Machine
  settings: { minutes: number; rate: number; connections: number; every: number }
  samples: Sample[]
  bars: Bar[]
}

const HELP = `node bench/soak.ts [--minutes 10] [--rate 1000] [--connections 32] [--every 5]
                    [--folder bench/data] [--out bench/results/soak.json]

Posts --rate new messages per second with concurrent queries. Samples memory, descriptors and latencies every --every
seconds: none of them may grow.
`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '1000' },
    connections: { type: 'string', default: '32' },
    every: { type: 'string', default: '5' },
    folder: { type: 'string', default: new URL('./data', import.meta.url).pathname },
    out: { type: 'string', default: new URL('./results/soak.json', import.meta.url).pathname },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
const settings = {
  minutes: Number(values.minutes),
  rate: Number(values.rate),
  connections: Number(values.connections),
  every: Number(values.every),
}

/** Warm-up in seconds, at most a quarter of the run. */
const WARM_UP_S = Math.min(60, settings.minutes * 15)

/** Queries, sent in turns. */
const QUERIES = [
  '/messages',
  '/messages?order=desc&limit=100',
  '/stats',
  `/messages?q=${RARE_WORD}`,
  '/messages?since=2026-01-01T00:00:00Z&limit=10',
]
const QUERY_INTERVAL_MS = 100

mkdirSync(values.folder, { recursive: true })
const folder = mkdtempSync(join(values.folder, 'soak-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const machine = describeMachine(folder)
process.stdout.write(`${machineLine(machine)}\n`)
const service = await startService(
  'soak',
  `sqlite:///${join(folder, 'soak.db')}`,
  join(folder, 'soak.log'),
)

const corpus = [...writeMessages(10_000)]
const agent = new Agent({ keepAlive: true, maxSockets: settings.connections })
const wrong: string[] = []
let running = true
let number = 0
let postTimes: number[] = []
let queryTimes: number[] = []

function post(): Promise<void> {
  const message = corpus[number % corpus.length]
  const body = JSON.stringify({
    message_id: `soak-${number++}`,
    from: message?.from_msisdn,
    to: message?.to_msisdn,
    ts: new Date().toISOString(),
    text: message?.text,
  })
  const headers = {
    'content-type': 'application/json',
    'x-signature': createHmac('sha256', SECRET).update(body).digest('hex'),
  }
  const started = performance.now()
  return new Promise((resolve) => {
    const posting = request(
      `${service.url}/webhook`,
      { method: 'POST', agent, headers },
      (answer) => {
        if (answer.statusCode !== 200) wrong.push(`a message was answered ${answer.statusCode}`)
        answer.resume().on('end', () => {
          postTimes.push(performance.now() - started)
          resolve()
        })
      },
    )
    posting.on('error', (error) => {
      wrong.push(String(error))
      resolve()
    })
    posting.end(body)
  })
}

/** Posts one message after the other at this connection's share of the rate. Delays are not caught up. */
async function keepPosting(): Promise<void> {
  const pause = (1000 / settings.rate) * settings.connections
  while (running) {
    const next = delay(pause)
    await post()
    await next
  }
}

async function keepQuerying(): Promise<void> {
  const client = new Client(service.url)
  for (let turn = 0; running; turn++) {
    const next = delay(QUERY_INTERVAL_MS)
    const path = QUERIES[turn % QUERIES.length] ?? '/stats'
    const { status, ms } = await client.get(path)
    if (status !== 200) wrong.push(`${path} was answered ${status}`)
    queryTimes.push(ms)
    await next
  }
  client.close()
}

function latenciesOf(times: readonly number[]): Latencies {
  return { count: times.length, p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) }
}

const senders = Array.from({ length: settings.connections }, keepPosting)
const querying = keepQuerying()
const samples: Sample[] = []
const started = performance.now()
while (performance.now() - started < settings.minutes * 60_000) {
  await delay(settings.every * 1000)
  const resourceUsage = service.resourceUsage()
  if (!resourceUsage) throw new Error('the soak test needs procfs (Linux)')
  const sample = {
    second: Math.round((performance.now() - started) / 1000),
    ...resourceUsage,
    messages: latenciesOf(postTimes),
    queries: latenciesOf(queryTimes),
  }
  postTimes = []
  queryTimes = []
  samples.push(sample)
  process.stdout.write(
    `${String(sample.second).padStart(4)} s  ${whole(sample.memoryMiB)} MiB  ${sample.descriptors} descriptors  ` +
      `${whole(sample.messages.count / settings.every)}/s p99 ${sample.messages.p99Ms.toFixed(1)} ms  ` +
      `queries p99 ${sample.queries.p99Ms.toFixed(1)} ms\n`,
  )
}
running = false
await Promise.all([...senders, querying])
agent.destroy()
await service.stop()

/** Compares the medians of the first and the last third. @param atMost the maximum ratio. */
function growthBar(
  what: string,
  unit: string,
  valueIn: (sample: Sample) => number,
  atMost: number,
): Bar {
  const warm = samples.filter(({ second }) => second > WARM_UP_S)
  const third = Math.ceil(warm.length / 3)
  const first = median(warm.slice(0, third).map(valueIn))
  const last = median(warm.slice(-third).map(valueIn))
  return {
    what: `${what}, the last third against the first`,
    expected: `at most ${atMost}×`,
    found: `${(last / first).toFixed(2)}× (${first.toFixed(1)} and ${last.toFixed(1)} ${unit})`,
    pass: last / first <= atMost,
  }
}

const bars: Bar[] = [
  growthBar('memory', 'MiB', ({ memoryMiB }) => memoryMiB, 1.15),
  growthBar('descriptors', 'open', ({ descriptors }) => descriptors, 1.05),
  growthBar('median of messages', 'ms', ({ messages }) => messages.p50Ms, 1.25),
  growthBar('p99 of messages', 'ms', ({ messages }) => messages.p99Ms, 1.5),
  growthBar('p99 of queries', 'ms', ({ queries }) => queries.p99Ms, 1.5),
  {
    what: 'every post and query is answered 200',
    expected: 'all of them',
    found: wrong.length === 0 ? `${whole(number)} messages` : (wrong[0] ?? ''),
    pass: wrong.length === 0,
  },
]
const results: SoakResults = {
  date: new Date().toISOString().slice(0, 10),
  machine,
  settings,
  samples,
  bars,
}
writeFileSync(values.out, `${JSON.stringify(results, undefined, 2)}\n`)
process.stdout.write(`\n${barTable(bars)}\n`)
if (bars.some(({ pass }) => !pass)) process.exitCode = 1
