import { once } from 'node:events'
import { Connection, type RawAnswer } from './connection.ts'
import { sign, wire } from './service.ts'

/** The bytes of a signed post. */
export function postOf(message_id: string, text?: string): string {
  const body = wire(text === undefined ? { message_id } : { message_id, text })
  return `POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-ID: ${message_id}\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** How a load is made. */
export interface LoadOptions {
  /** Whom to ask now; may change under way. */
  url: () => string
  connections: number
  /** Begins every id. */
  prefix: string
  /** The text of every message. */
  text?: string
  /** Milliseconds each connection pauses after an answer. */
  pauseMs?: number
  /** Whether a post that was not answered 200 is sent again until it is. */
  insist?: boolean
}

/** What senders saw of a service. */
export interface Seen {
  /** The ids that were answered 200. */
  acknowledged: string[]
  statuses: Map<number, number>
  /** Requests on connections that broke. */
  lost: number
  /** Milliseconds from sending to the answer, of those answered 200. */
  latencies: number[]
  /** Answers other than 200. */
  refused: RawAnswer[]
}

/** Senders that post one message after the other, each new, on a connection of their own. */
export class Load {
  readonly seen: Seen = {
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

  /** Resolves once so many more messages were answered 200. */
  async acknowledge(more: number): Promise<void> {
    const wanted = this.seen.acknowledged.length + more
    while (this.seen.acknowledged.length < wanted) await new Promise((next) => setTimeout(next, 5))
  }

  /** Ends after the answers that are still to come. */
  async stop(): Promise<Seen> {
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
        // Nobody listens there now; a sender tries again a little later.
        await new Promise((next) => setTimeout(next, 10))
        continue
      }
      const started = performance.now()
      try {
        connection.send(postOf(id, text))
        const answer = await connection.answer('POST')
        this.#note(id, answer, performance.now() - started)
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

  #note(id: string, answer: RawAnswer, ms: number): void {
    const { statuses, acknowledged, latencies, refused } = this.seen
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    if (answer.status === 200) {
      acknowledged.push(id)
      latencies.push(ms)
    } else if (refused.length < 10_000) refused.push(answer)
  }
}
