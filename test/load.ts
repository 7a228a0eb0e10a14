import { once } from 'node:events'
import { Connection, type RawResponse } from './connection.ts'
import { sign, wire } from './service.ts'

/** Returns a signed post as the text of an HTTP request. */
export function postOf(message_id: string, text?: string): string {
  const body = wire(text === undefined ? { message_id } : { message_id, text })
  return `POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-ID: ${message_id}\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** Options of `Load`. */
export interface LoadOptions {
  /** Returns the URL of the service; may change during the load. */
  url: () => string
  connections: number
  /** Prefix of every message id. */
  prefix?: string
  /** Returns the id of a message by its number; default: the prefix and the number. */
  idOf?: (number: number) => string
  /** Returns the request of a message; default: `postOf`. */
  requestOf?: (id: string, text: string | undefined) => string
  /** Text of every message. */
  text?: string
  /** Milliseconds between a response and the next request on a connection. */
  pauseMs?: number
  /** Whether to send a post again until its response is 200. */
  retry?: boolean
}

/** Results that the senders of a load observed. */
export interface LoadResults {
  /** Ids of messages whose response was 200. */
  acknowledged: string[]
  statuses: Map<number, number>
  /** Requests without a response, on connections that were lost. */
  lost: number
  /** Milliseconds from request to response, for responses with status 200. */
  latencies: number[]
  /** Responses other than 200; at most 10,000. */
  rejected: RawResponse[]
}

/** Senders that post distinct messages in sequence, each on its own connection. */
export class Load {
  readonly results: LoadResults = {
    acknowledged: [],
    statuses: new Map(),
    lost: 0,
    latencies: [],
    rejected: [],
  }
  readonly #options: LoadOptions
  readonly #senders: Promise<void>[]
  #number = 0
  #stopping = false

  constructor(options: LoadOptions) {
    this.#options = options
    this.#senders = Array.from({ length: options.connections }, () => this.#send())
  }

  /** Resolves once `more` further messages are acknowledged with 200. */
  async untilAcknowledged(more: number): Promise<void> {
    const wanted = this.results.acknowledged.length + more
    while (this.results.acknowledged.length < wanted)
      await new Promise((next) => setTimeout(next, 5))
  }

  /** Stops after the responses to the requests in flight. */
  async stop(): Promise<LoadResults> {
    this.#stopping = true
    await Promise.all(this.#senders)
    return this.results
  }

  async #send(): Promise<void> {
    const { url, prefix = '', text, pauseMs = 0, retry = false } = this.#options
    const { idOf = (number: number) => `${prefix}${number}`, requestOf = postOf } = this.#options
    let connection: Connection | undefined
    let id: string | undefined
    while (!this.#stopping) {
      id ??= idOf(this.#number++)
      try {
        if (!connection?.open) connection = await Connection.to(url())
      } catch {
        // The service does not listen at the moment: retry.
        await new Promise((next) => setTimeout(next, 10))
        continue
      }
      const started = performance.now()
      try {
        connection.send(requestOf(id, text))
        const response = await connection.readResponse('POST')
        this.#record(id, response, performance.now() - started)
        if (response.status === 200 || !retry) id = undefined
        if (response.headers.connection === 'close') connection.close()
      } catch {
        this.results.lost++
        if (!retry) id = undefined
        connection.close()
      }
      if (pauseMs > 0) await new Promise((next) => setTimeout(next, pauseMs))
    }
    if (connection && !connection.socket.destroyed) {
      connection.close()
      await once(connection.socket, 'close')
    }
  }

  #record(id: string, response: RawResponse, ms: number): void {
    const { statuses, acknowledged, latencies, rejected } = this.results
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
    if (response.status === 200) {
      acknowledged.push(id)
      latencies.push(ms)
    } else if (rejected.length < 10_000) rejected.push(response)
  }
}
