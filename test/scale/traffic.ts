import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { writeMessages } from '../../tools/corpus.ts'
import { sign } from '../service.ts'

/** Milliseconds of traffic between the steps of a test: LOAD_SECONDS, or one second. */
export const LOAD_MS = Number(process.env.LOAD_SECONDS ?? 1) * 1000

/** Senders that keep their connection, and senders that open one for each message. */
const KEEP_ALIVE_SENDERS = 18
const CLOSE_SENDERS = 6

/** Default number of concurrent readers. */
const READERS = 2

/** Milliseconds after which a client aborts a request. */
const REQUEST_TIMEOUT_MS = 15_000

/** Milliseconds within which the last messages must be acknowledged. */
const END_WITHIN_MS = 30_000

/** Texts, senders and recipients, which repeat; ids and timestamps are new. */
const MESSAGES = [...writeMessages(2000)]

interface Result {
  /** The status code, or the error code if there was no response. */
  outcome: number | string
  retryAfter: string | undefined
}

/** Sends a body in two writes, so that the server receives it in several chunks. */
function sendInParts(request: ClientRequest, body: string): void {
  const middle = body.length >> 1
  request.write(body.slice(0, middle), () => setImmediate(() => request.end(body.slice(middle))))
}

/** Sends a GET, or a signed POST if there is a body. Never rejects. */
function send(url: string, agent: Agent | false, body?: string): Promise<Result> {
  return new Promise((resolve) => {
    const outgoing = request(url, {
      method: body === undefined ? 'GET' : 'POST',
      agent,
      headers:
        body === undefined
          ? {}
          : {
              'content-type': 'application/json',
              'content-length': Buffer.byteLength(body),
              'x-signature': sign(body),
            },
      timeout: REQUEST_TIMEOUT_MS,
    })
    const fail = (error: NodeJS.ErrnoException): void =>
      resolve({ outcome: error.code ?? error.message, retryAfter: undefined })
    outgoing.on('timeout', () =>
      outgoing.destroy(new Error(`no response within ${REQUEST_TIMEOUT_MS} ms`)),
    )
    outgoing.on('error', fail)
    outgoing.on('response', (response: IncomingMessage) => {
      response.on('error', fail)
      response.on('end', () =>
        resolve({
          outcome: response.statusCode ?? 0,
          retryAfter: response.headers['retry-after'],
        }),
      )
      response.resume()
    })
    if (body === undefined) outgoing.end()
    else sendInParts(outgoing, body)
  })
}

/**
 * Concurrent senders and readers.
 * Each sender posts new messages one after another, and repeats each until it gets 200. Readers request the newest
 * page, the statistics and the last acknowledged message.
 */
export class Traffic {
  /** Base URL of the next request. */
  url: string
  /** Ids of the messages that got 200. */
  readonly acknowledged: string[] = []
  /** Number of requests with any other result, by result. */
  readonly failures = new Map<string, number>()
  /** Responses 503 without Retry-After. */
  withoutRetryAfter = 0
  /** Milliseconds of the slowest post and of the slowest read. */
  slowestPostMs = 0
  slowestReadMs = 0
  /** Reads that got 200. */
  reads = 0
  readonly #prefix: string
  readonly #bodyBytes: number
  readonly #loops: Promise<void>[]
  #number = 0
  #ending = false
  #stopped = false

  /**
   * Starts the traffic, which stops at the latest when the test ends.
   * @param prefix prefix of every id.
   * @param options.readers number of readers.
   * @param options.bodyBytes size that each body is padded to, with a field that the service ignores.
   */
  constructor(t: Test, url: string, prefix: string, { readers = READERS, bodyBytes = 0 } = {}) {
    t.teardown(() => {
      this.#ending = true
      this.#stopped = true
    })
    this.url = url
    this.#prefix = prefix
    this.#bodyBytes = bodyBytes
    this.#loops = [
      ...Array.from({ length: KEEP_ALIVE_SENDERS }, () =>
        this.#send(new Agent({ keepAlive: true, maxSockets: 1 })),
      ),
      ...Array.from({ length: CLOSE_SENDERS }, () => this.#send(false)),
      ...Array.from({ length: readers }, () =>
        this.#read(new Agent({ keepAlive: true, maxSockets: 1 })),
      ),
    ]
  }

  /**
   * Stops sending new messages, and waits for the last ones.
   * @throws Error if they are not acknowledged in time.
   */
  async end(): Promise<void> {
    this.#ending = true
    const late = delay(END_WITHIN_MS, undefined, { ref: false }).then(() => {
      throw new Error(`messages are not acknowledged after ${END_WITHIN_MS} ms: ${this.summary}`)
    })
    await Promise.race([Promise.all(this.#loops), late])
  }

  /** Counts and latencies as text, for assertion messages. */
  get summary(): string {
    const failures = [...this.failures].map(([outcome, count]) => `${count} times ${outcome}`)
    return `${this.acknowledged.length} posts and ${this.reads} reads got 200, the slowest after ${this.slowestPostMs.toFixed(0)} and ${this.slowestReadMs.toFixed(0)} ms; other results: ${failures.join(', ') || 'none'}`
  }

  #record(kind: 'post' | 'read', { outcome, retryAfter }: Result, started: number): boolean {
    const ms = performance.now() - started
    if (kind === 'post') this.slowestPostMs = Math.max(this.slowestPostMs, ms)
    else this.slowestReadMs = Math.max(this.slowestReadMs, ms)
    if (outcome === 200) return true
    const failure = `${outcome} to a ${kind}`
    this.failures.set(failure, (this.failures.get(failure) ?? 0) + 1)
    if (outcome === 503 && retryAfter === undefined) this.withoutRetryAfter++
    return false
  }

  async #send(agent: Agent | false): Promise<void> {
    while (!this.#ending) {
      const number = this.#number++
      const message = MESSAGES[number % MESSAGES.length]
      const fields = {
        message_id: this.#prefix + number,
        from: message?.from_msisdn,
        to: message?.to_msisdn,
        ts: new Date().toISOString(),
        text: message?.text,
      }
      const unpadded = Buffer.byteLength(JSON.stringify({ ...fields, padding: '' }))
      const padding = 'x'.repeat(Math.max(0, this.#bodyBytes - unpadded))
      const body = JSON.stringify(padding ? { ...fields, padding } : fields)
      for (;;) {
        const started = performance.now()
        const result = await send(`${this.url}/webhook`, agent, body)
        if (this.#record('post', result, started)) break
        if (this.#stopped) return
        await delay(Number(result.retryAfter ?? 0.1) * 1000)
      }
      this.acknowledged.push(this.#prefix + number)
    }
    if (agent) agent.destroy()
  }

  async #read(agent: Agent): Promise<void> {
    for (let round = 0; !this.#ending; round++) {
      const newest = this.acknowledged.at(-1)
      const paths = ['/messages?order=desc&limit=20', '/stats']
      if (newest !== undefined) paths.push(`/messages/${newest}`)
      const path = paths[round % paths.length] ?? ''
      const started = performance.now()
      const result = await send(this.url + path, agent)
      if (this.#record('read', result, started)) this.reads++
      else await delay(100)
    }
    agent.destroy()
  }
}
