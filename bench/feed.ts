import { fork } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openServer } from './database-server.ts'
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

/** Messages stored per second in one round; `none` is the mean of the rates before and after the others. */
export type FeedRound = Record<Situation, number>

/** Milliseconds from the response to a post until its event, without other load. */
interface Delay {
  median: number
  max: number
}

/** The results file of `npm run bench:feed`. */
export interface FeedResults {
  date: string
  machine: Machine
  /** Version of the database server; absent if PostgreSQL was not measured. */
  server?: string
  settings: { rounds: number; seconds: number }
  rounds: FeedRound[]
  delayMs: Delay
  /** With the post and the stream on different instances; absent if PostgreSQL was not measured. */
  postgresDelayMs?: Delay
  bars: Bar[]
}

const HELP = `node bench/feed.ts [--rounds 3] [--seconds 60] [--warm-up 5] [--folder bench/data]
                   [--out bench/results/feed.json] [--postgres URL] [--skip-postgres]

Posts to /webhook over 64 connections while no stream of the feed is open, while 100 are open that receive nothing,
while 10 receive everything, and while none is open again, each into an empty file. Checks that the streams receive
what they should. Measures the delay of an event on SQLite and between two instances on PostgreSQL: on the server at
the URL, or on a temporary one. A target that was not measured fails.
`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '60' },
    'warm-up': { type: 'string', default: '5' },
    folder: { type: 'string', default: new URL('./data', import.meta.url).pathname },
    out: { type: 'string', default: new URL('./results/feed.json', import.meta.url).pathname },
    postgres: { type: 'string' },
    'skip-postgres': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
const settings = { rounds: Number(values.rounds), seconds: Number(values.seconds) }

/** Requests to prepare, relative to the rate of the warm-up. */
const HEADROOM = 1.5

/** Messages whose delay is measured. */
const DELAYS = 50

/** Range of the pauses between them, longer than the interval at which the feed is read. */
const MAX_PAUSE_MS = 300

/** Maximum time until a stream has received the last message. */
const RECEIVED_WITHIN_MS = 10_000

mkdirSync(values.folder, { recursive: true })
const folder = mkdtempSync(join(values.folder, 'feed-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const machine = describeMachine(folder)
process.stdout.write(`${machineLine(machine)}\n`)
const load = new LoadProcess()
const tails = fork(new URL('./tails.ts', import.meta.url), { stdio: 'inherit' })
tails.once('exit', (code) => {
  if (code !== 0) throw new Error(`the process of the streams exited with ${code}`)
})

/** Sends a job to the process of the streams. @returns its response. */
async function callTails(job: TailsJob | 'count' | 'stop'): Promise<unknown> {
  tails.send(job)
  const [response] = await once(tails, 'message')
  return response
}

/** Checks that every stream receives `expected` messages. @throws Error if one does not. */
async function checkReceived(name: string, expected: number): Promise<void> {
  const deadline = performance.now() + RECEIVED_WITHIN_MS
  for (;;) {
    const received = (await callTails('count')) as TailsReport
    const wrong = received.find((count) => count !== expected)
    if (wrong === undefined) return
    if (wrong > expected || performance.now() > deadline) {
      throw new Error(`${name}: a stream received ${wrong} messages, not ${expected}`)
    }
    await delay(100)
  }
}

/** Measures messages stored per second. @throws Error if a stream does not receive what it should. */
async function measure(name: string, situation: Situation): Promise<number> {
  const path = join(folder, `${name}.db`)
  const service = await startService(name, `sqlite:///${path}`, join(folder, name))
  const job = SITUATIONS[situation]
  if (job) await callTails({ ...job, url: service.url })
  const target = { urls: [service.url], connections: 64 }
  const warmUp = await load.run({
    ...target,
    seconds: Number(values['warm-up']),
    prefix: `${name}-warm-up-`,
    prepare: 0,
  })
  const { seconds } = settings
  const report = await load.run({
    ...target,
    seconds,
    prefix: `${name}-`,
    prepare: Math.round((warmUp.sent / warmUp.seconds) * seconds * HEADROOM),
  })
  const acknowledged = warmUp.acknowledged + report.acknowledged
  if (acknowledged !== warmUp.sent + report.sent) throw new Error(`${name}: not every post got 200`)
  if (job) {
    await checkReceived(name, situation === 'reading' ? acknowledged : 0)
    await callTails('stop')
  }
  await service.stop()
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  return report.acknowledged / report.seconds
}

async function openStream(url: string): Promise<IncomingMessage> {
  const headers = { accept: 'text/event-stream' }
  const stream = get(`${url}/feed?after=now`, { headers, agent: false })
  const [response]: IncomingMessage[] = await once(stream, 'response')
  if (response?.statusCode !== 200) throw new Error(`a stream was answered ${response?.statusCode}`)
  return response.setEncoding('utf8')
}

async function post(url: string, id: string): Promise<void> {
  const message = { message_id: id, from: '+919876543210', to: '+14155550100' }
  const body = JSON.stringify({ ...message, ts: new Date().toISOString() })
  const signature = createHmac('sha256', SECRET).update(body).digest('hex')
  const headers = { 'content-type': 'application/json', 'x-signature': signature }
  const { status } = await fetch(`${url}/webhook`, { method: 'POST', headers, body })
  if (status !== 200) throw new Error(`a post was answered ${status}`)
}

/**
 * Measures the delay between the response to a post and its event, one message at a time.
 * The posts go to the first instance, the stream comes from the last one.
 */
async function measureDelays(name: string, database: string, instances: number): Promise<Delay> {
  const services = []
  for (let n = 0; n < instances; n++) {
    services.push(await startService(`${name}-${n}`, database, join(folder, `${name}-${n}.log`)))
  }
  const [to = '', from = to] = services.map(({ url }) => url)
  const stream = await openStream(from)
  const arrivals = new Map<string, PromiseWithResolvers<number>>()
  let text = ''
  stream.on('data', (chunk: string) => {
    const events = (text + chunk).split('\n\n')
    text = events.pop() ?? ''
    for (const event of events) {
      const id = /"message_id":"([^"]+)"/.exec(event)?.[1] ?? ''
      arrivals.get(id)?.resolve(performance.now())
    }
  })
  const delays: number[] = []
  for (let n = 0; n < DELAYS; n++) {
    const id = `${name}-${n}`
    const arrival = Promise.withResolvers<number>()
    arrivals.set(id, arrival)
    await delay((n / DELAYS) * MAX_PAUSE_MS)
    await post(to, id)
    const answered = performance.now()
    const timeout = delay(RECEIVED_WITHIN_MS, undefined, { ref: false }).then(() => {
      throw new Error(`${name}: the event of ${id} did not arrive`)
    })
    delays.push((await Promise.race([arrival.promise, timeout])) - answered)
  }
  stream.destroy()
  for (const service of services) await service.stop()
  return { median: median(delays), max: Math.max(...delays) }
}

const delayMs = await measureDelays('delays', `sqlite:///${join(folder, 'delays.db')}`, 1)
const server = values['skip-postgres'] ? undefined : await openServer(values.postgres)
const postgresDelayMs = server && (await measureDelays('shared', await server.create('feed'), 2))
await server?.remove()

const rounds: FeedRound[] = []
let before = await measure('none', 'none')
for (let round = 0; round < settings.rounds; round++) {
  const idle = await measure(`idle-${round}`, 'idle')
  const reading = await measure(`reading-${round}`, 'reading')
  const after = await measure(`none-${round}`, 'none')
  rounds.push({ none: (before + after) / 2, idle, reading })
  before = after
  process.stdout.write(
    `none ${whole(after)}/s, idle ${whole(idle)}/s, reading ${whole(reading)}/s\n`,
  )
}
load.close()
tails.disconnect()

function costBar(what: string, situation: 'idle' | 'reading', percent: number): Bar {
  const cost = median(rounds.map(({ none, [situation]: rate }) => 1 - rate / none))
  return {
    what,
    expected: `less than ${percent} % of the ingest`,
    found: `${(cost * 100).toFixed(1)} %`,
    pass: cost * 100 < percent,
  }
}

function delayBar(what: string, found: Delay | undefined, under: number): Bar {
  return {
    what,
    expected: `less than ${under} ms`,
    found: found
      ? `median ${whole(found.median)} ms, longest ${whole(found.max)} ms`
      : 'not measured',
    pass: found !== undefined && found.max < under,
  }
}

const bars: Bar[] = [
  costBar('cost of 100 streams that receive nothing', 'idle', 5),
  costBar('cost of 10 streams that receive everything', 'reading', 30),
  delayBar('delay from a 200 to the event, SQLite', delayMs, 250),
  delayBar('delay from a 200 to the event, two instances on PostgreSQL', postgresDelayMs, 1000),
]
const results: FeedResults = {
  date: new Date().toISOString().slice(0, 10),
  machine,
  ...(server ? { server: server.version } : {}),
  settings,
  rounds,
  delayMs,
  ...(postgresDelayMs ? { postgresDelayMs } : {}),
  bars,
}
mkdirSync(join(values.out, '..'), { recursive: true })
writeFileSync(values.out, `${JSON.stringify(results, undefined, 2)}\n`)
process.stdout.write(
  `\n${table([
    ['no stream, messages/s', '100 that receive nothing', '10 that receive everything'],
    ...rounds.map(({ none, idle, reading }) => [none, idle, reading].map(whole)),
  ])}\n\n${barTable(bars)}\n`,
)
if (bars.some(({ pass }) => !pass)) process.exitCode = 1
