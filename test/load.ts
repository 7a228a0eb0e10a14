import { once } from 'node:events'
import { Connection, type RawAnswer } from './connection.ts'
import { sign, wire } from './service.ts'

/** Returns a signed post as the text of an HTTP request. */
export function postOf(message_id: string, text?: string): string {
  const body = wire(text === undefined ? { message_id } : { message_id, text })
  return `POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-ID: ${message_id}\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** Options of a load. */
export interface LoadOptions {
  /** Returns the URL of the service; may change during the load. */
  url: () => string
  connections: number
  /** Prefix of every message id. */
  prefix: string
  /** Text of every message. */
  text?: string
  /** Milliseconds between a response and the next request on a connection. */
  pauseMs?: number
  /** Whether to repeat a post until its response is 200. */
  insist?: boolean
}

/** Results of a load, as the senders observed them. */
export interface LoadResults {
  /** Ids of messages whose response was 200. */
  acknowledged: string[]
  statuses: Map<number, number>
  /** Requests without a response, on connections that were lost. */
  lost: number
  /** Milliseconds from request to response, of those with status 200. */
  latencies: number[]
  /** Responses other than 200; at most 10,000. */
  refused: RawAnswer[]
}

/** Senders that post distinct messages in sequence, each on its own connection. */
export class Load {
  readonly seen: LoadResults = {
    acknowledged: [],
    statuses: new Map(),
    lost: 0,
    latencies: [],
    refused: [],
  }
  readonly #options: LoadOptions
  readonly #senders: Promise<void>[]
  #number = 0
  #stopping = false

  constructor(options: LoadOptions) {
    this.#options = options
    this.#senders = Array.from({ length: options.connections }, () => this.#send())
  }

  /** Resolves once this many more messages have got status 200. */
  async acknowledge(more: number): Promise<void> {
    const wanted = this.seen.acknowledged.length + more
    while (this.seen.acknowledged.length < wanted) await new Promise((next) => setTimeout(next, 5))
  }

  /** Stops after the responses to the requests in flight. */
  async stop(): Promise<LoadResults> {
    this.#stopping = true
    await Promise.all(this.#senders)
    return this.seen
  }

  async #send(): Promise<void> {
    const { url, prefix, text, pauseMs = 0, insist = false } = this.#options
    let connection: Connection | undefined
    let id: string | undefined
    while (!this.#stopping) {
      id ??= `${prefix}${this.#number++}`
      try {
        if (!connection?.open) connection = await Connection.to(url())
      } catch {
        // The service does not listen at the moment: retry.
        await new Promise((next) => setTimeout(next, 10))
        continue
      }
      const started = performance.now()
      try {
        connection.send(postOf(id, text))
        const answer = await connection.answer('POST')
        this.#record(id, answer, performance.now() - started)
        if (answer.status === 200 || !insist) id = undefined
        if (answer.headers.connection === 'close') connection.close()
      } catch {
        this.seen.lost++
        if (!insist) id = undefined
        connection.close()
      }
      if (pauseMs > 0) await new Promise((next) => setTimeout(next, pauseMs))
    }
    if (connection && !connection.socket.destroyed) {
      connection.close()
      await once(connection.socket, 'close')
    }
  }

  #record(id: string, answer: RawAnswer, ms: number): void {
    const { statuses, acknowledged, latencies, refused } = this.seen
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    if (answer.status === 200) {
      acknowledged.push(id)
      latencies.push(ms)
    } else if (refused.length < 10_000) refused.push(answer)
  }
}
