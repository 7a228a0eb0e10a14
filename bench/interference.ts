import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { COMMON_WORD } from '../tools/words.ts'
import { Client } from './client.ts'
import type { CorpusFile } from './corpus-file.ts'
import { type Bar, median, percentile, whole } from './figures.ts'
import { LoadProcess } from './load-process.ts'
import { startService } from './process.ts'
import { pathOf } from './queries.ts'

/** The effect of expensive searches on other requests. */
export interface Interference {
  messages: number
  /** Messages stored per second, without searches and with them. */
  ingestAlone: number
  ingestWithSearches: number
  /** p99 of `GET /health/live`. */
  liveP99Ms: { alone: number; withSearches: number; withIngest: number; withBoth: number }
  /** p99 of the first page, while searches for the common word run one after the other. */
  firstPageP99Ms: { alone: number; withCommonWord: number }
  liveWithCommonWordP99Ms: number
  /** Numbers of the worst searches that were answered, and that were cancelled by the time limit. */
  searches: { answered: number; cancelled: number }
}

/** Needles too short for the trigram index, which no text contains: each search scans every row. */
const WORST = ['§', '§¤']
const SEARCHERS = 8
/** Pause between two probes. */
const PROBE_PAUSE_MS = 5
const CONNECTIONS = 64

/** Runs loops until `work` has completed. */
async function runDuring<Result>(
  loops: ((isOver: () => boolean) => Promise<void>)[],
  work: () => Promise<Result>,
): Promise<Result> {
  let over = false
  const running = loops.map((loop) => loop(() => over))
  try {
    return await work()
  } finally {
    over = true
    await Promise.all(running)
  }
}

/** Measures, on a copy of the file, how continuous searches affect ingest and other reads. */
export async function measureInterference(
  file: CorpusFile,
  folder: string,
  { rounds, seconds }: { rounds: number; seconds: number },
): Promise<Interference> {
  const path = join(folder, 'interference.db')
  copyFileSync(file.path, path)
  const server = await startService(
    'interference',
    `sqlite:///${path}`,
    join(folder, 'interference.log'),
  )
  const load = new LoadProcess()
  const searches = { answered: 0, cancelled: 0 }
  const figures = {
    ingestAlone: [] as number[],
    ingestWithSearches: [] as number[],
    alone: [] as number[],
    withSearches: [] as number[],
    withIngest: [] as number[],
    withBoth: [] as number[],
    pageAlone: [] as number[],
    pageWithCommonWord: [] as number[],
    liveWithCommonWord: [] as number[],
  }

  const search = (q: string) => async (isOver: () => boolean) => {
    const client = new Client(server.url)
    while (!isOver()) {
      const { status, body } = await client.get(pathOf({ limit: 50, q }))
      if (status === 200) searches.answered++
      else if (status === 503) searches.cancelled++
      else throw new Error(`a search was answered ${status}: ${body}`)
    }
    client.close()
  }
  const worst = Array.from({ length: SEARCHERS }, (_, at) => search(WORST[at % WORST.length] ?? ''))

  const probe = (path: string, times: number[]) => async (isOver: () => boolean) => {
    const client = new Client(server.url)
    while (!isOver()) {
      const { status, ms } = await client.get(path)
      if (status !== 200) throw new Error(`${path} was answered ${status}`)
      times.push(ms)
      await delay(PROBE_PAUSE_MS)
    }
    client.close()
  }
  const live = (times: number[]) => probe('/health/live', times)
  const page = (times: number[]) => probe(pathOf({ limit: 50 }), times)

  let jobs = 0
  const ingest = async (rates: number[]) => {
    const {
      sent,
      rejected,
      seconds: took,
    } = await load.run({
      urls: [server.url],
      connections: CONNECTIONS,
      seconds,
      prefix: `interference-${jobs++}-`,
      prepare: Math.round(20_000 * seconds),
    })
    if (rejected.length > 0) throw new Error(`a message was answered ${rejected[0]?.status}`)
    rates.push(sent / took)
  }
  const pause = () => delay(seconds * 1000)

  for (let round = 0; round < rounds; round++) {
    await runDuring([live(figures.alone)], pause)
    await runDuring([live(figures.withSearches), ...worst], pause)
    await runDuring([live(figures.withIngest)], () => ingest(figures.ingestAlone))
    await runDuring([live(figures.withBoth), ...worst], () => ingest(figures.ingestWithSearches))
    await runDuring([page(figures.pageAlone)], pause)
    const common = search(COMMON_WORD)
    await runDuring(
      [page(figures.pageWithCommonWord), live(figures.liveWithCommonWord), common],
      pause,
    )
  }
  load.close()
  await server.stop()
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })

  const p99 = (times: number[]) => percentile(times, 0.99)
  return {
    messages: file.messages,
    ingestAlone: median(figures.ingestAlone),
    ingestWithSearches: median(figures.ingestWithSearches),
    liveP99Ms: {
      alone: p99(figures.alone),
      withSearches: p99(figures.withSearches),
      withIngest: p99(figures.withIngest),
      withBoth: p99(figures.withBoth),
    },
    firstPageP99Ms: {
      alone: p99(figures.pageAlone),
      withCommonWord: p99(figures.pageWithCommonWord),
    },
    liveWithCommonWordP99Ms: p99(figures.liveWithCommonWord),
    searches,
  }
}

/** Compares the measured effect with the targets. */
export function interferenceBars(found: Interference): Bar[] {
  const kept = found.ingestWithSearches / found.ingestAlone
  const { withSearches } = found.liveP99Ms
  return [
    {
      what: '/health/live p99 while eight of the worst searches run',
      expected: 'at most 25 ms',
      found: `${withSearches.toFixed(1)} ms`,
      pass: withSearches <= 25,
    },
    {
      what: 'ingest while eight of the worst searches run',
      expected: 'at least 70 %',
      found: `${whole(kept * 100)} % (${whole(found.ingestWithSearches)}/s of ${whole(found.ingestAlone)}/s)`,
      pass: kept >= 0.7,
    },
  ]
}
