import { createHmac } from 'node:crypto'
import { connect } from 'node:net'
import type { StoredMessage } from '../src/message/message.ts'
import { writeMessages } from '../tools/corpus.ts'
import { percentile } from './figures.ts'
import { SECRET } from './process.ts'

/**
 * A job of the load generator, a process that sends new, signed messages over a number of connections.
 *
 * Not autocannon: it needs a whole core to send 50,000 requests a second to the bare server, where this needs 60 % of
 * one for 55,000, and on two cores the service would lack that time. It also drops the requests that are in flight at
 * the end, so that its count would differ from the rows, and its latencies are whole milliseconds.
 */
export interface LoadJob {
  /** Servers, over which the connections are distributed evenly. */
  urls: readonly string[]
  connections: number
  seconds: number
  /** Prefix of every id; must differ between jobs. */
  prefix: string
  /** Number of requests to prepare before the measurement starts; others are prepared while it runs. */
  prepare: number
}

/** The result of a job. Every request that was sent was answered. */
export interface LoadReport {
  sent: number
  /** Number of 200s; their ids are the prefix and each number below `sent` that is not in `rejected`. */
  acknowledged: number
  /** The messages with another status. */
  rejected: { number: number; status: number }[]
  seconds: number
  p50Ms: number
  p99Ms: number
  /** Cores that the load generator used. */
  cpu: number
}

/** Texts and senders repeat after this many messages; ids and timestamps are always new. */
const DIFFERENT_MESSAGES = 10_000

let messages: StoredMessage[] | undefined

function requestOf(job: LoadJob, number: number): Buffer {
  messages ??= [...writeMessages(DIFFERENT_MESSAGES)]
  const message = messages[number % messages.length]
  const body = JSON.stringify({
    message_id: job.prefix + number,
    from: message?.from_msisdn,
    to: message?.to_msisdn,
    // Senders post events immediately.
    ts: new Date().toISOString(),
    text: message?.text,
  })
  const signature = createHmac('sha256', SECRET).update(body).digest('hex')
  return Buffer.from(
    `POST /webhook HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n` +
      `X-Signature: ${signature}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** Returns the status of a response, or undefined while it is incomplete. */
function statusOf(response: string): number | undefined {
  const headersEnd = response.indexOf('\r\n\r\n')
  if (headersEnd < 0) return undefined
  const length = Number(/^content-length: (\d+)/im.exec(response)?.[1] ?? 0)
  return response.length < headersEnd + 4 + length ? undefined : Number(response.slice(9, 12))
}

async function run(job: LoadJob): Promise<LoadReport> {
  const prepared = Array.from({ length: job.prepare }, (_, number) => requestOf(job, number))
  const latencies: number[] = []
  const rejected: LoadReport['rejected'] = []
  let sent = 0
  const cpu = process.cpuUsage()
  const started = performance.now()
  const end = started + job.seconds * 1000

  const keepBusy = (url: string) =>
    new Promise<void>((resolve, reject) => {
      const { hostname, port } = new URL(url)
      const socket = connect(Number(port), hostname).setNoDelay(true).setEncoding('latin1')
      let number = 0
      let since = 0
      let response = ''
      const next = () => {
        since = performance.now()
        if (since >= end) {
          socket.end(resolve)
          return
        }
        number = sent++
        socket.write(prepared[number] ?? requestOf(job, number))
      }
      socket.on('connect', next)
      socket.on('data', (chunk: string) => {
        response += chunk
        const status = statusOf(response)
        if (status === undefined) return
        response = ''
        latencies.push(performance.now() - since)
        if (status !== 200) rejected.push({ number, status })
        next()
      })
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('the server closed a connection')))
    })
  const { urls, connections } = job
  const targets = Array.from({ length: connections }, (_, at) => urls[at % urls.length] ?? '')
  await Promise.all(targets.map(keepBusy))

  const seconds = (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return {
    sent,
    acknowledged: sent - rejected.length,
    rejected,
    seconds,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    cpu: (user + system) / 1e6 / seconds,
  }
}

process.on('message', async (job: LoadJob) => {
  process.send?.(await run(job))
})
