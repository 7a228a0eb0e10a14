import type { Client } from './client.ts'
import type { CorpusFile } from './corpus-file.ts'
import { type Bar, median, percentile } from './figures.ts'
import { type BenchQuery, pathOf } from './queries.ts'
import type { Said } from './recount.ts'

/** A service on a file, and a connection to it. */
export interface Served {
  file: CorpusFile
  client: Client
}

/** How long one question took on one size. */
export interface Timing {
  messages: number
  medianMs: number
  p95Ms: number
  runs: number
  /** 200, or what the service said instead. */
  status: number
}

/** One question on every size. */
export interface Measured {
  name: string
  timings: Timing[]
}

/** Asked before the clock matters: connections, caches of pages and compiled code. */
const WARM_UPS = 3
/** Whatever a question costs, it is asked this often. */
const LEAST_RUNS = 5

/**
 * Asks a question of every size in turns, until there are enough runs or the time is over.
 * @returns the timings, and what was said once to be checked. @throws when an answer changed from run to run.
 */
export async function measure(
  question: BenchQuery,
  served: readonly Served[],
  { runs, budgetMs }: { runs: number; budgetMs: number },
): Promise<{ measured: Measured; said: { file: CorpusFile; said: Said }[] }> {
  const asked = served.map(({ file, client }) => {
    const filter = question.filter(file)
    return {
      file,
      client,
      filter,
      path: pathOf(filter),
      times: [] as number[],
      status: 0,
      body: '',
    }
  })
  const started = performance.now()
  for (let run = -WARM_UPS; run < runs; run++) {
    const late = performance.now() - started > budgetMs
    if (late && run >= LEAST_RUNS) break
    if (late && run < 0) run = 0
    for (const one of asked) {
      const { status, body, ms } = await one.client.ask(one.path)
      if (one.status === 200 && status === 200 && body !== one.body) {
        throw new Error(`${one.path} was answered in two ways on ${one.file.messages} messages`)
      }
      one.status = status
      one.body = body
      if (run >= 0) one.times.push(ms)
    }
  }
  const timings = asked.map(({ file, times, status }) => ({
    messages: file.messages,
    medianMs: median(times),
    p95Ms: percentile(times, 0.95),
    runs: times.length,
    status,
  }))
  const said = asked
    .filter(({ status }) => status === 200)
    .map(({ file, filter, body }) => ({ file, said: { filter, body } }))
  return { measured: { name: question.name, timings }, said }
}

/** What the question promises on every size but the smallest; on that one, only the clock counts. */
export function barsOf(question: BenchQuery, measured: Measured, firstPage: Measured): Bar[] {
  const [smallest, ...larger] = measured.timings
  const { promised, name } = question
  if (promised.kind === 'nothing') return []
  return larger.map((timing) => {
    const what = `${name}, ${timing.messages.toLocaleString('en-US')} messages`
    if (promised.kind === 'milliseconds') {
      const ms = timing.medianMs
      const pass = timing.status === 200 && ms < promised.under
      return {
        what,
        expected: `under ${promised.under} ms`,
        found: found(timing, `${ms.toFixed(1)} ms`),
        pass,
      }
    }
    const page = firstPage.timings.find(({ messages }) => messages === timing.messages)
    const against = promised.kind === 'of first page' ? page : smallest
    const ratio = timing.medianMs / (against?.medianMs ?? Number.NaN)
    const unit = promised.kind === 'of first page' ? '× the first page' : '×'
    return {
      what,
      expected: `at most ${promised.atMost}${unit}`,
      found: found(timing, `${ratio.toFixed(2)}×`),
      pass: timing.status === 200 && ratio <= promised.atMost,
    }
  })
}

function found({ status }: Timing, value: string): string {
  return status === 200 ? value : `answered ${status}`
}
