import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Candidate } from './candidates.ts'
import { Client } from './client.ts'
import type { CorpusFile } from './corpus-file.ts'
import { type Bar, percentile, whole } from './figures.ts'
import type { LoadProcess } from './load-process.ts'
import { pathOf } from './queries.ts'

/** A minute of full load on the service, with the floor measured right before and right after it. */
export interface Sustained {
  /** Messages in the file before the load. */
  messages: number
  seconds: number
  rate: number
  p50Ms: number
  p99Ms: number
  maxMs: number
  /** Requests per second of the floor, before and after. */
  floorBefore: number
  floorAfter: number
  /** Rate of the service relative to the mean of the floor's two rates. */
  ratio: number
  peakMemoryMiB: number | undefined
  /** p99 in milliseconds of reads without ingest, and while ingest runs. */
  reads: { name: string; idleP99Ms: number; busyP99Ms: number }[]
  /** Errors; empty if every 200 is exactly one row. */
  wrong: string[]
}

/** Duration of each measurement of the floor. */
const FLOOR_SECONDS = 15

/** Pause between two reads, and duration of the reads without ingest. */
const READ_PAUSE_MS = 20
const IDLE_READS_MS = 8000

/** Duration of the reads while ingest runs. */
const BUSY_READS_SECONDS = 20

const LIMIT = 50

/** Measures ingest into an empty file, or into a copy of a file. */
export async function measureSustained(
  load: LoadProcess,
  floor: Candidate,
  {
    folder,
    file,
    seconds,
    connections,
  }: { folder: string; file?: CorpusFile; seconds: number; connections: number },
): Promise<Sustained> {
  const name = file ? 'large' : 'empty'
  const path = join(folder, `sustained-${name}.db`)
  if (file) copyFileSync(file.path, path)
  const service = await Candidate.service(
    folder,
    `sustained-${name}`,
    'this service',
    {},
    file?.messages,
  )
  const job = { connections, counts: true }
  const floorRate = async () => (await floor.round(load, { ...job, seconds: FLOOR_SECONDS })).rate

  await service.round(load, { connections, seconds: 3, counts: false })
  const paths = await readPaths(service.url)
  const idle = await measureReads(service.url, paths, delay(IDLE_READS_MS))
  const before = await floorRate()
  const round = await service.round(load, { ...job, seconds })
  const { peakMemoryMiB } = service.summary()
  const after = await floorRate()
  // In a round of its own, as the reads take their share of the two cores.
  const started = Promise.withResolvers<void>()
  const running = service.round(load, {
    ...job,
    seconds: BUSY_READS_SECONDS,
    onStarted: started.resolve,
  })
  await Promise.race([started.promise, running])
  const busy = await measureReads(service.url, paths, running)
  const wrong = await service.stopAndCheck()
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  return {
    messages: file?.messages ?? 0,
    seconds,
    rate: round.rate,
    p50Ms: round.p50Ms,
    p99Ms: round.p99Ms,
    maxMs: round.maxMs,
    floorBefore: before,
    floorAfter: after,
    ratio: round.rate / ((before + after) / 2),
    peakMemoryMiB,
    reads: Object.keys(paths).map((read) => ({
      name: read,
      idleP99Ms: percentile(idle[read] ?? [], 0.99),
      busyP99Ms: percentile(busy[read] ?? [], 0.99),
    })),
    wrong,
  }
}

/** Returns the paths of the reads that are measured. */
async function readPaths(url: string): Promise<Record<string, string>> {
  const client = new Client(url)
  const { body } = await client.get('/stats')
  client.close()
  const { messages_per_sender: senders } = JSON.parse(body) as {
    messages_per_sender: { from: string }[]
  }
  return {
    'first page': pathOf({ limit: LIMIT }),
    statistics: '/stats',
    'the busiest sender’s first page': pathOf({ limit: LIMIT, from: senders[0]?.from ?? '' }),
  }
}

/** Sends the reads one after the other until the work has completed. Returns the milliseconds of each. */
async function measureReads(
  url: string,
  paths: Record<string, string>,
  work: Promise<unknown>,
): Promise<Record<string, number[]>> {
  let over = false
  const settled = work.finally(() => {
    over = true
  })
  const client = new Client(url)
  const times: Record<string, number[]> = {}
  while (!over) {
    for (const [name, path] of Object.entries(paths)) {
      const { status, ms } = await client.get(path)
      if (status !== 200) throw new Error(`${path} was answered ${status}`)
      times[name] = [...(times[name] ?? []), ms]
      await delay(READ_PAUSE_MS)
    }
  }
  client.close()
  await settled
  return times
}

/** Compares the results with the targets. */
export function sustainedBars(found: Sustained): Bar[] {
  const { messages, ratio, p99Ms, maxMs, peakMemoryMiB, reads } = found
  const where = messages === 0 ? 'empty file' : `${whole(messages)} messages`
  const ratioBars = messages === 0 ? [0.6, 0.7] : [0.55, 0.65]
  const memory = peakMemoryMiB ?? Number.POSITIVE_INFINITY
  return [
    ...ratioBars.map((bar, index) => ({
      what: `a minute of ingest, ${where}${index === 0 ? '' : ': the aim'}`,
      expected: `at least ${bar.toFixed(2)} of the floor`,
      found: ratio.toFixed(2),
      pass: ratio >= bar,
    })),
    ...[
      ['p99 of a post', p99Ms, 50, 25] as const,
      ['longest post', maxMs, 250, 100] as const,
    ].flatMap(([what, value, bar, aim]) =>
      [bar, aim].map((limit, index) => ({
        what: `${what}, ${where}${index === 0 ? '' : ': the aim'}`,
        expected: `at most ${limit} ms`,
        found: `${value.toFixed(1)} ms`,
        pass: value <= limit,
      })),
    ),
    ...reads.map(({ name, idleP99Ms, busyP99Ms }) => ({
      what: `p99 of ${name} while ingest runs, ${where}`,
      expected: 'at most 4× that without ingest',
      found: `${(busyP99Ms / idleP99Ms).toFixed(1)}× (${busyP99Ms.toFixed(1)} of ${idleP99Ms.toFixed(1)} ms)`,
      pass: busyP99Ms <= 4 * idleP99Ms,
    })),
    {
      what: `peak memory in a minute of ingest, ${where}`,
      expected: 'at most 256 MB',
      found: `${whole(memory * 1.048_576)} MB`,
      pass: memory * 1.048_576 <= 256,
    },
  ]
}
