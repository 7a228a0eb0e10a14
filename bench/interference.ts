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

/** What others notice of searches. */
export interface Interference {
  messages: number
  /** Messages taken a second, without searches and with them. */
  ingestAlone: number
  ingestWithSearches: number
  /** Of /health/live. */
  liveP99Ms: { alone: number; withSearches: number; withIngest: number; withBoth: number }
  /** Of the first page, while one search for the common word follows the other. */
  firstPageP99Ms: { alone: number; withCommonWord: number }
  liveWithCommonWordP99Ms: number
  /** The worst searches: how many were answered, and how many cut off by the time limit. */
  searches: { answered: number; cutOff: number }
}

/** One and two characters cannot be looked up by three, and these are in no text: every row has to be looked at. */
const WORST = ['§', '§¤']
const SEARCHERS = 8
/** Between two probes on their one connection. */
const PROBE_PAUSE_MS = 5
const CONNECTIONS = 64

/** Something that goes on until it is told to end. */
async function during<Result>(
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

/** Measures on a copy of the file what searches that go on without end cost everybody else. */
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
  const searches = { answered: 0, cutOff: 0 }
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
      const { status, body } = await client.ask(pathOf({ limit: 50, q }))
      if (status === 200) searches.answered++
      else if (status === 503) searches.cutOff++
      else throw new Error(`a search was answered ${status}: ${body}`)
    }
    client.close()
  }
  const worst = Array.from({ length: SEARCHERS }, (_, at) => search(WORST[at % WORST.length] ?? ''))

  const probe = (path: string, times: number[]) => async (isOver: () => boolean) => {
    const client = new Client(server.url)
    while (!isOver()) {
      const { status, ms } = await client.ask(path)
      if (status !== 200) throw new Error(`${path} was answered ${status}`)
      times.push(ms)
      await delay(PROBE_PAUSE_MS)
    }
    client.close()
  }
  const live = (times: number[]) => probe('/health/live', times)
  const page = (times: number[]) => probe(pathOf({ limit: 50 }), times)

  let orders = 0
  const ingest = async (rates: number[]) => {
    const {
      sent,
      refused,
      seconds: took,
    } = await load.run({
      urls: [server.url],
      connections: CONNECTIONS,
      seconds,
      prefix: `interference-${orders++}-`,
      prepare: Math.round(20_000 * seconds),
    })
    if (refused.length > 0) throw new Error(`a message was answered ${refused[0]?.status}`)
    rates.push(sent / took)
  }
  const pause = () => delay(seconds * 1000)

  for (let round = 0; round < rounds; round++) {
    await during([live(figures.alone)], pause)
    await during([live(figures.withSearches), ...worst], pause)
    await during([live(figures.withIngest)], () => ingest(figures.ingestAlone))
    await during([live(figures.withBoth), ...worst], () => ingest(figures.ingestWithSearches))
    await during([page(figures.pageAlone)], pause)
    const common = search(COMMON_WORD)
    await during(
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

/** What is promised of it. */
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
