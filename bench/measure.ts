import type { Client } from './client.ts'
import type { CorpusFile } from './corpus-file.ts'
import { type Bar, median, percentile } from './figures.ts'
import { type BenchQuery, pathOf } from './queries.ts'
import type { QueryResponse } from './recount.ts'

/** A database and a connection to the service on it. */
export interface Served {
  file: CorpusFile
  client: Client
}

/** The latency of a query on one size of database. */
export interface Timing {
  messages: number
  medianMs: number
  p95Ms: number
  runs: number
  /** Status of the last response. */
  status: number
}

/** The latencies of a query on every size of database. */
export interface Measured {
  name: string
  timings: Timing[]
}

/** Runs that are not measured, for connections, page caches and compiled code. */
const WARM_UPS = 3
/** Minimum number of measured runs, whatever the budget. */
const MIN_RUNS = 5

/**
 * Sends a query to every size of database in turns, until `runs` or `budgetMs` is reached.
 * @returns the latencies, and one response of each size to be checked.
 * @throws if responses differ between runs.
 */
export async function measure(
  query: BenchQuery,
  served: readonly Served[],
  { runs, budgetMs }: { runs: number; budgetMs: number },
): Promise<{
  measured: Measured
  responses: { file: CorpusFile; response: QueryResponse }[]
}> {
  const cases = served.map(({ file, client }) => {
    const request = query.request(file)
    return {
      file,
      client,
      request,
      path: pathOf(request),
      times: [] as number[],
      status: 0,
      body: '',
    }
  })
  const started = performance.now()
  for (let run = -WARM_UPS; run < runs; run++) {
    const late = performance.now() - started > budgetMs
    if (late && run >= MIN_RUNS) break
    if (late && run < 0) run = 0
    for (const current of cases) {
      const { status, body, ms } = await current.client.get(current.path)
      if (current.status === 200 && status === 200 && body !== current.body) {
        throw new Error(
          `${current.path} had different responses on ${current.file.messages} messages`,
        )
      }
      current.status = status
      current.body = body
      if (run >= 0) current.times.push(ms)
    }
  }
  const timings = cases.map(({ file, times, status }) => ({
    messages: file.messages,
    medianMs: median(times),
    p95Ms: percentile(times, 0.95),
    runs: times.length,
    status,
  }))
  const responses = cases
    .filter(({ status }) => status === 200)
    .map(({ file, request, body }) => ({ file, response: { request, body } }))
  return { measured: { name: query.name, timings }, responses }
}

/** Compares the latencies with the target of the query, on every size but the smallest. */
export function barsOf(query: BenchQuery, measured: Measured, firstPage: Measured): Bar[] {
  const [smallest, ...larger] = measured.timings
  const { target, name } = query
  if (target.kind === 'nothing') return []
  return larger.map((timing) => {
    const what = `${name}, ${timing.messages.toLocaleString('en-US')} messages`
    if (target.kind === 'milliseconds') {
      const ms = timing.medianMs
      const pass = timing.status === 200 && ms < target.under
      return {
        what,
        expected: `under ${target.under} ms`,
        found: found(timing, `${ms.toFixed(1)} ms`),
        pass,
      }
    }
    const page = firstPage.timings.find(({ messages }) => messages === timing.messages)
    const against = target.kind === 'of first page' ? page : smallest
    const ratio = timing.medianMs / (against?.medianMs ?? Number.NaN)
    const unit = target.kind === 'of first page' ? '× the first page' : '×'
    return {
      what,
      expected: `at most ${target.atMost}${unit}`,
      found: found(timing, `${ratio.toFixed(2)}×`),
      pass: timing.status === 200 && ratio <= target.atMost,
    }
  })
}

function found({ status }: Timing, value: string): string {
  return status === 200 ? value : `answered ${status}`
}
