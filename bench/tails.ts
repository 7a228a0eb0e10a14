import { get, type IncomingMessage } from 'node:http'

/** A job of the process that reads streams of the feed as lines, until it receives `stop`. */
export interface TailsJob {
  url: string
  /** Number of streams. */
  count: number
  /** Query of the streams. */
  query: string
}

/** Number of messages that each stream has received. */
export type TailsReport = number[]

const LINE_FEED = 10

function linesIn(chunk: Buffer): number {
  let lines = 0
  for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, at + 1)) lines++
  return lines
}

const responses: IncomingMessage[] = []
const received: TailsReport = []

function open({ url, query }: TailsJob, index: number): Promise<void> {
  received[index] = 0
  return new Promise((resolve, reject) => {
    const headers = { accept: 'application/x-ndjson' }
    get(`${url}/feed?${query}`, { headers, agent: false }, (response) => {
      responses.push(response)
      response.on('error', () => {})
      response.on('data', (chunk: Buffer) => {
        received[index] = (received[index] ?? 0) + linesIn(chunk)
      })
      resolve()
    }).on('error', reject)
  })
}

process.on('message', async (job: TailsJob | 'stop') => {
  if (job === 'stop') {
    for (const response of responses.splice(0)) response.destroy()
    process.send?.(received.splice(0))
  } else {
    await Promise.all(Array.from({ length: job.count }, (_, index) => open(job, index)))
    process.send?.('open')
  }
})
