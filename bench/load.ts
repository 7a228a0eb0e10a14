import { createHmac } from 'node:crypto'
import { connect } from 'node:net'
import type { StoredMessage } from '../src/message/message.ts'
import { senderOf, writeMessages } from '../tools/corpus.ts'
import { LongTail, Random } from '../tools/random.ts'
import { percentile } from './figures.ts'
import { messageId } from './message-id.ts'
import { SECRET } from './process.ts'

/**
 * A job of the load generator, a process that sends new, signed messages over a number of connections.
 * Not autocannon: it needs a whole core to send 50,000 requests a second to the bare server, where this needs 60 % of
 * one for 55,000, and on two cores the service would lack that time. It also drops the requests that are in flight at
 * the end, so that its count would differ from the rows, and its latencies are whole milliseconds.
 */
export interface LoadJob {
  /** Servers, over which the connections are distributed evenly. */
  urls: readonly string[]
  connections: number
  seconds: number
  /** Makes the ids, with the number of each message: see `messageId`. Must differ between jobs. */
  prefix: string
  /** Messages in each request: undefined for posts to `/webhook`, else bodies of Meta. */
  messagesPerBody?: number
  /** Age of the timestamps in days; default 0, as senders post events immediately. */
  ageDays?: number
  /** Number of requests to prepare before the measurement starts; others are prepared while it runs. */
  prepare: number
}

/** The result of a job. Every request that was sent was answered. */
export interface LoadReport {
  sent: number
  /** Number of 200s: of each number below `sent` that is not in `rejected`. */
  acknowledged: number
  /** The messages with another status. */
  rejected: { number: number; status: number }[]
  seconds: number
  p50Ms: number
  p99Ms: number
  /** The longest time until a response. */
  maxMs: number
  /** Cores that the load generator used. */
  cpu: number
}

/** Texts repeat after this many messages; ids and timestamps are always new. */
const DIFFERENT_MESSAGES = 10_000

/** Number of senders, as many as a corpus of a million messages has. */
const SENDERS = 50_000

/** Number of messages after which the sequence of senders repeats; coprime to that of the texts. */
const SENDER_DRAWS = 1_000_003

const random = new Random(2)
const tail = new LongTail(SENDERS)
const senders = Array.from({ length: SENDER_DRAWS }, () => senderOf(tail.draw(random)))

let messages: StoredMessage[] | undefined

/** Returns a body of the WhatsApp Cloud API. */
function metaBody(job: LoadJob, request: number, count: number): string {
  messages ??= [...writeMessages(DIFFERENT_MESSAGES)]
  const value = {
    messaging_product: 'whatsapp',
    metadata: { display_phone_number: '14155550100', phone_number_id: '106540352242922' },
    messages: Array.from({ length: count }, (_, at) => {
      const number = request * count + at
      return {
        from: senders[number % senders.length]?.slice(1),
        id: `wamid.${messageId(job.prefix, number)}`,
        timestamp: String(Math.floor(Date.now() / 1000)),
        type: 'text',
        text: { body: messages?.[number % DIFFERENT_MESSAGES]?.text },
      }
    }),
  }
  const entry = [{ id: '102290129340398', changes: [{ field: 'messages', value }] }]
  return JSON.stringify({ object: 'whatsapp_business_account', entry })
}

function requestOf(job: LoadJob, number: number): Buffer {
  if (job.messagesPerBody) {
    const body = metaBody(job, number, job.messagesPerBody)
    const signature = createHmac('sha256', SECRET).update(body).digest('hex')
    return Buffer.from(
      `POST /webhook/meta HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n` +
        `X-Hub-Signature-256: sha256=${signature}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  }
  messages ??= [...writeMessages(DIFFERENT_MESSAGES)]
  const message = messages[number % messages.length]
  const body = JSON.stringify({
    message_id: messageId(job.prefix, number),
    from: senders[number % senders.length],
    to: message?.to_msisdn,
    ts: new Date(Date.now() - (job.ageDays ?? 0) * DAY_MS).toISOString(),
    text: message?.text,
  })
  const signature = createHmac('sha256', SECRET).update(body).digest('hex')
  return Buffer.from(
    `POST /webhook HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n` +
      `X-Signature: ${signature}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

const DAY_MS = 86_400_000

/** Bytes that one read of a response takes at most. */
const READ_BYTES = 16 * 1024

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
  process.send?.('started')
  const cpu = process.cpuUsage()
  const started = performance.now()
  const end = started + job.seconds * 1000

  const keepBusy = (url: string) =>
    new Promise<void>((resolve, reject) => {
      const { hostname, port } = new URL(url)
      let number = 0
      let since = 0
      let response = ''
      const buffer = Buffer.allocUnsafe(READ_BYTES)
      // `onread` reuses one buffer: a stream and a buffer for each response would take a fifth of this process's time.
      const socket = connect({
        port: Number(port),
        host: hostname,
        noDelay: true,
        onread: { buffer, callback: (length) => onData(buffer.toString('latin1', 0, length)) },
      })
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
      const onData = (chunk: string): boolean => {
        response += chunk
        const status = statusOf(response)
        if (status === undefined) return true
        response = ''
        latencies.push(performance.now() - since)
        if (status !== 200) rejected.push({ number, status })
        next()
        return true
      }
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
    maxMs: percentile(latencies, 1),
    cpu: (user + system) / 1e6 / seconds,
  }
}

process.on('message', async (job: LoadJob) => {
  process.send?.(await run(job))
})
