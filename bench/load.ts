import { createHmac } from 'node:crypto'
import { connect } from 'node:net'
import type { StoredMessage } from '../src/message/message.ts'
import { writeMessages } from '../tools/corpus.ts'
import { percentile } from './figures.ts'
import { SECRET } from './process.ts'

/**
 * The load: a process of its own that keeps some connections busy with signed messages, each of which is new.
 *
 * Why not autocannon: on two cores it uses all of one to ask the bare server 50,000 times a second, where this uses
 * 60 % of one for 55,000; the faster the service, the more of the writing thread's time it would take. It also drops
 * what is under way at the end, so that its count and the rows would differ, and knows whole milliseconds only.
 */
export interface LoadOrder {
  /** The connections are spread over these evenly. */
  urls: readonly string[]
  connections: number
  seconds: number
  /** Begins every id, so that no two orders post the same one. */
  prefix: string
  /** Requests to write and sign before the clock starts; beyond them it happens under way. */
  prepare: number
}

/** What became of an order. Everything that was sent was answered. */
export interface LoadReport {
  sent: number
  /** How many were answered 200; their ids are the prefix and every number below `sent` but those in `rejected`. */
  acknowledged: number
  /** The numbers of those that were answered anything else, and what. */
  refused: { number: number; status: number }[]
  seconds: number
  p50Ms: number
  p99Ms: number
  /** The share of a core that the load took. */
  cpu: number
}

/** Texts and senders come round again; only the ids are new. */
const DIFFERENT_MESSAGES = 10_000

let messages: StoredMessage[] | undefined

function requestOf(order: LoadOrder, number: number): Buffer {
  messages ??= [...writeMessages(DIFFERENT_MESSAGES)]
  const message = messages[number % messages.length]
  const body = JSON.stringify({
    message_id: order.prefix + number,
    from: message?.from_msisdn,
    to: message?.to_msisdn,
    // Senders post what just happened.
    ts: new Date().toISOString(),
    text: message?.text,
  })
  const signature = createHmac('sha256', SECRET).update(body).digest('hex')
  return Buffer.from(
    `POST /webhook HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n` +
      `X-Signature: ${signature}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** The status of the answer once all of it is there. */
function statusOf(answer: string): number | undefined {
  const headersEnd = answer.indexOf('\r\n\r\n')
  if (headersEnd < 0) return undefined
  const length = Number(/^content-length: (\d+)/im.exec(answer)?.[1] ?? 0)
  return answer.length < headersEnd + 4 + length ? undefined : Number(answer.slice(9, 12))
}

async function run(order: LoadOrder): Promise<LoadReport> {
  const prepared = Array.from({ length: order.prepare }, (_, number) => requestOf(order, number))
  const latencies: number[] = []
  const refused: LoadReport['refused'] = []
  let sent = 0
  const cpu = process.cpuUsage()
  const started = performance.now()
  const end = started + order.seconds * 1000

  const keepBusy = (url: string) =>
    new Promise<void>((resolve, reject) => {
      const { hostname, port } = new URL(url)
      const socket = connect(Number(port), hostname).setNoDelay(true).setEncoding('latin1')
      let number = 0
      let since = 0
      let answer = ''
      const next = () => {
        since = performance.now()
        if (since >= end) {
          socket.end(resolve)
          return
        }
        number = sent++
        socket.write(prepared[number] ?? requestOf(order, number))
      }
      socket.on('connect', next)
      socket.on('data', (chunk: string) => {
        answer += chunk
        const status = statusOf(answer)
        if (status === undefined) return
        answer = ''
        latencies.push(performance.now() - since)
        if (status !== 200) refused.push({ number, status })
        next()
      })
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('the server closed a connection')))
    })
  const { urls, connections } = order
  const targets = Array.from({ length: connections }, (_, at) => urls[at % urls.length] ?? '')
  await Promise.all(targets.map(keepBusy))

  const seconds = (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return {
    sent,
    acknowledged: sent - refused.length,
    refused,
    seconds,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    cpu: (user + system) / 1e6 / seconds,
  }
}

process.on('message', async (order: LoadOrder) => {
  process.send?.(await run(order))
})
