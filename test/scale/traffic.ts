import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { writeMessages } from '../../tools/corpus.ts'
import { sign } from '../service.ts'

/** How long the load lasts before, between and after what happens, in milliseconds: LOAD_SECONDS, or one second. */
export const LOAD_MS = Number(process.env.LOAD_SECONDS ?? 1) * 1000

/** Senders that keep a connection, and senders that make one for each message. */
const KEEPING = 18
const ANEW = 6

/** Those who read along. */
const READERS = 2

/** A client gives up after this, in milliseconds. */
const PATIENCE_MS = 15_000

/** How long the last messages may take once the traffic ends, in milliseconds. */
const END_WITHIN_MS = 30_000

/** Texts and senders come round again; only the ids are new. */
const MESSAGES = [...writeMessages(2000)]

interface Answer {
  /** The status, or the code of what went wrong instead. */
  outcome: number | string
  retryAfter: string | undefined
}

/** Sends a body in two parts, the second once the first is on the wire: a large one arrives in pieces. */
function sendInParts(request: ClientRequest, body: string): void {
  const middle = body.length >> 1
  request.write(body.slice(0, middle), () => setImmediate(() => request.end(body.slice(middle))))
}

function ask(url: string, agent: Agent | false, body?: string): Promise<Answer> {
  return new Promise((resolve) => {
    const asked = request(url, {
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
      timeout: PATIENCE_MS,
    })
    const fail = (error: NodeJS.ErrnoException): void =>
      resolve({ outcome: error.code ?? error.message, retryAfter: undefined })
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)))
    asked.on('error', fail)
    asked.on('response', (response: IncomingMessage) => {
      response.on('error', fail)
      response.on('end', () =>
        resolve({
          outcome: response.statusCode ?? 0,
          retryAfter: response.headers['retry-after'],
        }),
      )
      response.resume()
    })
    if (body === undefined) asked.end()
    else sendInParts(asked, body)
  })
}

/**
 * Traffic as real senders make it: each posts one new message after the other, and the same one again until it is
 * answered 200. Others read: pages, statistics, and one by one what was just acknowledged.
 */
export class Traffic {
  /** Where the next request goes. */
  url: string
  /** The ids that were answered 200. */
  readonly acknowledged: string[] = []
  /** Everything that was answered anything else, and how often. */
  readonly failures = new Map<string, number>()
  /** Answers 503 that had no Retry-After. */
  withoutRetryAfter = 0
  /** The longest that a post and a read took to be answered, in milliseconds. */
  slowestPostMs = 0
  slowestReadMs = 0
  /** Reads that were answered 200. */
  reads = 0
  readonly #prefix: string
  readonly #bodyBytes: number
  readonly #loops: Promise<void>[]
  #number = 0
  #ending = false
  #givenUp = false

  /**
   * Begins at once, and is given up at the latest when the test ends.
   * @param prefix begins every id.
   * @param options.bodyBytes pads each body to this size with a field that the service ignores.
   */
  constructor(t: Test, url: string, prefix: string, { readers = READERS, bodyBytes = 0 } = {}) {
    t.teardown(() => {
      this.#ending = true
      this.#givenUp = true
    })
    this.url = url
    this.#prefix = prefix
    this.#bodyBytes = bodyBytes
    this.#loops = [
      ...Array.from({ length: KEEPING }, () =>
        this.#send(new Agent({ keepAlive: true, maxSockets: 1 })),
      ),
      ...Array.from({ length: ANEW }, () => this.#send(false)),
      ...Array.from({ length: readers }, () =>
        this.#read(new Agent({ keepAlive: true, maxSockets: 1 })),
      ),
    ]
  }

  /** Resolves when every message that was begun is acknowledged. @throws when one never is. */
  async end(): Promise<void> {
    this.#ending = true
    const late = delay(END_WITHIN_MS, undefined, { ref: false }).then(() => {
      throw new Error(`messages are not acknowledged after ${END_WITHIN_MS} ms: ${this.told}`)
    })
    await Promise.race([Promise.all(this.#loops), late])
  }

  /** What was heard, in words. */
  get told(): string {
    const failures = [...this.failures].map(([outcome, count]) => `${count} times ${outcome}`)
    return `${this.acknowledged.length} posts and ${this.reads} reads answered 200, the slowest after ${this.slowestPostMs.toFixed(0)} and ${this.slowestReadMs.toFixed(0)} ms; besides: ${failures.join(', ') || 'nothing'}`
  }

  #note(what: 'post' | 'read', { outcome, retryAfter }: Answer, started: number): boolean {
    const ms = performance.now() - started
    if (what === 'post') this.slowestPostMs = Math.max(this.slowestPostMs, ms)
    else this.slowestReadMs = Math.max(this.slowestReadMs, ms)
    if (outcome === 200) return true
    const failure = `${outcome} to a ${what}`
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
        const answer = await ask(`${this.url}/webhook`, agent, body)
        if (this.#note('post', answer, started)) break
        if (this.#givenUp) return
        await delay(Number(answer.retryAfter ?? 0.1) * 1000)
      }
      this.acknowledged.push(this.#prefix + number)
    }
    if (agent) agent.destroy()
  }

  async #read(agent: Agent): Promise<void> {
    for (let turn = 0; !this.#ending; turn++) {
      const known = this.acknowledged.at(-1)
      const paths = ['/messages?order=desc&limit=20', '/stats']
      if (known !== undefined) paths.push(`/messages/${known}`)
      const path = paths[turn % paths.length] ?? ''
      const started = performance.now()
      const answer = await ask(this.url + path, agent)
      if (this.#note('read', answer, started)) this.reads++
      else await delay(100)
    }
    agent.destroy()
  }
}
