import { get, type IncomingMessage } from 'node:http'

/** A job of the process that reads streams of the feed as lines, until it receives `stop`. */
export interface TailsJob {
  url: string
  /** Number of streams. */
  count: number
  /** Query of the streams. */
  query: string
}

/** Number of messages that each stream has received; the response to `count`. */
export type TailsReport = number[]

const LINE_FEED = 10
const CLOSING_BRACE = 125

const responses: IncomingMessage[] = []
const received: TailsReport = []

/** Counts the messages of a stream: the lines that are not empty. */
function countMessages(response: IncomingMessage, index: number): void {
  let previous = LINE_FEED
  received[index] = 0
  response.on('data', (chunk: Buffer) => {
    let messages = 0
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, at + 1)) {
      if ((at === 0 ? previous : chunk[at - 1]) === CLOSING_BRACE) messages++
    }
    previous = chunk.at(-1) ?? previous
    received[index] = (received[index] ?? 0) + messages
  })
}

function open({ url, query }: TailsJob, index: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { accept: 'application/x-ndjson' }
    get(`${url}/feed?${query}`, { headers, agent: false }, (response) => {
      if (response.statusCode !== 200) {
        reject(new Error(`a stream was answered ${response.statusCode}`))
        return
      }
      responses.push(response)
      response.on('error', () => undefined)
      response.on('close', () => {
        if (responses.includes(response)) throw new Error('the server closed a stream')
      })
      countMessages(response, index)
      resolve()
    }).on('error', reject)
  })
}

process.on('message', async (job: TailsJob | 'count' | 'stop') => {
  if (job === 'count') process.send?.(received)
  else if (job === 'stop') {
    received.length = 0
    for (const response of responses.splice(0)) response.destroy()
    process.send?.('stopped')
  } else {
    await Promise.all(Array.from({ length: job.count }, (_, index) => open(job, index)))
    process.send?.('open')
  }
})
