import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { corpusFile } from './corpus-file.ts'
import { type Bar, barTable, median, table, whole } from './figures.ts'
import type { LoadReport } from './load.ts'
import { LoadProcess } from './load-process.ts'
import { describeMachine, type Machine, machineLine } from './machine.ts'
import { type ServerProcess, startService } from './process.ts'

/** Times of posts over one connection, without and with the removal of old messages. */
export type RetentionTimes = Pick<LoadReport, 'p50Ms' | 'p99Ms' | 'maxMs'>

/** One round. */
export interface RetentionRound {
  keeping: RetentionTimes
  removing: RetentionTimes
  /** Messages removed per second beside these posts. */
  removedPerSecond: number
  /** Messages stored per second at full speed: all kept, and all expired at once. */
  keptPerSecond: number
  expiredPerSecond: number
  /** Expired messages that were left after the last post, and the seconds until none was. */
  left: number
  leftSeconds: number
  /** Size of the file after all messages were removed, in MiB. */
  emptyMiB: number
}

/** The results file of `npm run bench:retention`. */
export interface RetentionResults {
  date: string
  machine: Machine
  settings: { rounds: number; seconds: number; messages: number }
  rounds: RetentionRound[]
  bars: Bar[]
}

const HELP = `node bench/retention.ts [--rounds 3] [--seconds 60] [--messages 300000] [--folder bench/data]
                        [--out bench/results/retention.json]

Posts over one connection while a file of old messages is kept, and while they are removed. Then posts at full speed
over 64 connections into an empty file: messages that are kept, and messages that expire at once.
`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '60' },
    messages: { type: 'string', default: '300000' },
    folder: { type: 'string', default: new URL('./data', import.meta.url).pathname },
    out: { type: 'string', default: new URL('./results/retention.json', import.meta.url).pathname },
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
  messages: Number(values.messages),
}

/** Seconds of posts over one connection, within which the removal does not end. */
const SPARSE_SECONDS = 15

/** Requests to prepare for each second of full speed. */
const PREPARED = 15_000

const KEEP = { RETENTION_DAYS: '0' }
const REMOVE = { RETENTION_DAYS: '7' }

mkdirSync(values.folder, { recursive: true })
const folder = mkdtempSync(join(values.folder, 'retention-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const machine = describeMachine(folder)
process.stdout.write(`${machineLine(machine)}\n`)
const load = new LoadProcess()
const corpus = await corpusFile(values.folder, settings.messages)

/** Returns the number of messages that are stored. */
async function countMessages({ url }: ServerProcess): Promise<number> {
  const stats = await (await fetch(`${url}/stats`)).json()
  if (typeof stats !== 'object' || stats === null || !('total_messages' in stats)) {
    throw new Error('the statistics have no total')
  }
  return Number(stats.total_messages)
}

/** Runs work with a service on a new file, which is deleted afterwards. */
async function withService<Result>(
  name: string,
  environment: Record<string, string>,
  work: (service: ServerProcess, path: string) => Promise<Result>,
  source?: string,
): Promise<Result> {
  const path = join(folder, `${name}.db`)
  if (source) copyFileSync(source, path)
  const log = join(folder, `${name}.log`)
  const service = await startService(name, `sqlite:///${path}`, log, environment)
  const result = await work(service, path)
  await service.stop()
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  return result
}

/** Posts over one connection beside a file of old messages. @throws Error if a post fails. */
function postSparsely(name: string, environment: Record<string, string>) {
  return withService(
    name,
    environment,
    async (service) => {
      const before = await countMessages(service)
      const report = await load.run({
        urls: [service.url],
        connections: 1,
        seconds: SPARSE_SECONDS,
        prefix: `${name}-`,
        prepare: 0,
      })
      if (report.rejected.length > 0) throw new Error(`${name}: not every post got 200`)
      const removed = before + report.sent - (await countMessages(service))
      return { ...report, removedPerSecond: removed / report.seconds }
    },
    corpus.path,
  )
}

/** Posts at full speed into an empty file. @throws Error if a post fails. */
function postAtFullSpeed(name: string, environment: Record<string, string>, ageDays: number) {
  return withService(name, environment, async (service, path) => {
    const { seconds } = settings
    const target = { urls: [service.url], connections: 64, ageDays }
    await load.run({ ...target, seconds: 5, prefix: `${name}-warm-up-`, prepare: 0 })
    const job = { ...target, seconds, prefix: `${name}-`, prepare: seconds * PREPARED }
    const report = await load.run(job)
    if (report.rejected.length > 0) throw new Error(`${name}: not every post got 200`)
    const left = await countMessages(service)
    const ended = performance.now()
    while (ageDays > 0 && (await countMessages(service)) > 0) await delay(20)
    const leftSeconds = (performance.now() - ended) / 1000
    const perSecond = report.acknowledged / report.seconds
    return { perSecond, left, leftSeconds, emptyMiB: statSync(path).size / 2 ** 20 }
  })
}

const rounds: RetentionRound[] = []
for (let round = 0; round < settings.rounds; round++) {
  const keeping = await postSparsely(`keeping-${round}`, KEEP)
  const { removedPerSecond, ...removing } = await postSparsely(`removing-${round}`, REMOVE)
  const kept = await postAtFullSpeed(`kept-${round}`, KEEP, 0)
  const expired = await postAtFullSpeed(`expired-${round}`, REMOVE, 30)
  const found = {
    keeping,
    removing,
    removedPerSecond,
    keptPerSecond: kept.perSecond,
    expiredPerSecond: expired.perSecond,
    left: expired.left,
    leftSeconds: expired.leftSeconds,
    emptyMiB: expired.emptyMiB,
  }
  rounds.push(found)
  const times = ({ p50Ms, p99Ms, maxMs }: RetentionTimes) =>
    [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1))
  process.stdout.write(
    `${table([
      ['posts over one connection', 'p50 ms', 'p99 ms', 'max ms'],
      ['all kept', ...times(keeping)],
      [`${whole(removedPerSecond)}/s removed`, ...times(removing)],
    ])}\nkept ${whole(kept.perSecond)}/s, expired ${whole(expired.perSecond)}/s, ${whole(
      expired.left,
    )} left, removed after ${expired.leftSeconds.toFixed(1)} s, file of ${whole(expired.emptyMiB)} MiB\n`,
  )
}
load.close()

const delayMs = median(rounds.map(({ keeping, removing }) => removing.p99Ms - keeping.p99Ms))
const leftSeconds = median(rounds.map((round) => round.leftSeconds))
const rate = median(
  rounds.map(({ expiredPerSecond, keptPerSecond }) => expiredPerSecond / keptPerSecond),
)
const bars: Bar[] = [
  {
    what: 'delay of a post by the removal of old messages, p99',
    expected: 'less than 20 ms',
    found: `${delayMs.toFixed(1)} ms`,
    pass: delayMs < 20,
  },
  {
    what: 'at full speed, time until the last expired message is removed',
    expected: 'less than 5 s',
    found: `${leftSeconds.toFixed(1)} s; ${(rate * 100).toFixed(0)} % of the rate of kept messages`,
    pass: leftSeconds < 5,
  },
]
const results: RetentionResults = {
  date: new Date().toISOString().slice(0, 10),
  machine,
  settings,
  rounds,
  bars,
}
writeFileSync(values.out, `${JSON.stringify(results, null, 2)}\n`)
process.stdout.write(`${barTable(bars)}\n`)
if (bars.some(({ pass }) => !pass)) process.exitCode = 1
