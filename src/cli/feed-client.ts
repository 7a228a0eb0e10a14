import { setTimeout as delay } from 'node:timers/promises'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { UnreachableError } from './send-request.ts'

/**
 * Milliseconds before the first attempt to reconnect, and at most before a later one.
 * Each pause is twice as long as the previous one.
 */
const MIN_DELAY_MS = 1000
const MAX_DELAY_MS = 10_000

/** Milliseconds without a byte after which a connection is closed: three keep-alive intervals. */
const SILENCE_MS = 45_000

/** A response other than a stream. */
class ResponseError extends Error {
  override readonly name = 'ResponseError'
  /** Whether the same request may succeed later. */
  readonly isRetryable: boolean

  constructor(status: number, detail: string) {
    super(`GET /feed ${status}: ${detail}`)
    this.isRetryable = status === 429 || status >= 500
  }
}

/** Returns the `detail` of an error body as one text; the body itself if it has none. */
function detailOf(body: string): string {
  try {
    const { detail }: { detail: string | { msg: string }[] } = JSON.parse(body)
    return typeof detail === 'string' ? detail : detail.map(({ msg }) => msg).join('; ')
  } catch {
    return body.trim()
  }
}

/** A client of `GET /feed` that reconnects until it is stopped. */
export class FeedClient {
  readonly #url: URL
  readonly #token: string | undefined
  readonly #signal: AbortSignal
  readonly #onOutage: (reason: string) => void
  /** The last `id` received, after which a new connection continues. */
  #cursor: string | undefined
  #delayMs = MIN_DELAY_MS
  #reported = false

  /**
   * @param signal stops the client.
   * @param onOutage called once with the reason when the client has to try again, until it is connected.
   */
  constructor(
    url: URL,
    token: string | undefined,
    signal: AbortSignal,
    onOutage: (reason: string) => void,
  ) {
    this.#url = url
    this.#token = token
    this.#signal = signal
    this.#onOutage = onOutage
  }

  /**
   * Yields the events as they arrive, until the client is stopped.
   * @throws Error if a retry would fail, too.
   */
  async *events(): AsyncGenerator<EventSourceMessage[], void> {
    while (!this.#signal.aborted) {
      const connection = new AbortController()
      // Not AbortSignal.any: its result may be garbage-collected before it is aborted.
      const stop = () => connection.abort()
      this.#signal.addEventListener('abort', stop)
      try {
        yield* this.#connect(connection)
      } catch (error) {
        if (this.#signal.aborted) return
        const isOutage = error instanceof UnreachableError
        if (!isOutage && !(error instanceof ResponseError && error.isRetryable)) throw error
        if (!this.#reported) this.#onOutage(error.message)
        this.#reported = true
      } finally {
        this.#signal.removeEventListener('abort', stop)
        connection.abort()
      }
      await delay(this.#delayMs, undefined, { signal: this.#signal }).catch(() => {})
      this.#delayMs = Math.min(this.#delayMs * 2, MAX_DELAY_MS)
    }
  }

  /** Yields the events of one connection. @throws UnreachableError, ResponseError */
  async *#connect(connection: AbortController): AsyncGenerator<EventSourceMessage[], void> {
    const response = await this.#receive(this.#request(connection.signal), connection)
    if (!response.ok) {
      const body = await this.#receive(response.text(), connection)
      throw new ResponseError(response.status, detailOf(body))
    }
    const contentType = response.headers.get('content-type')
    if (!contentType?.startsWith('text/event-stream') || !response.body) {
      connection.abort()
      throw new ResponseError(response.status, `expected a stream of events, found ${contentType}`)
    }
    this.#delayMs = MIN_DELAY_MS
    this.#reported = false
    let events: EventSourceMessage[] = []
    const parser = createParser({
      onEvent: (event) => events.push(event),
      // Called for events without data, too: they move the cursor past messages that the filters exclude.
      onId: (id) => {
        this.#cursor = id
      },
    })
    const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader()
    while (true) {
      const { value, done } = await this.#receive(chunks.read(), connection)
      if (done) return
      parser.feed(value)
      if (events.length > 0) yield events
      events = []
    }
  }

  #request(signal: AbortSignal): Promise<Response> {
    const headers = new Headers({ accept: 'text/event-stream' })
    if (this.#token !== undefined) headers.set('authorization', `Bearer ${this.#token}`)
    if (this.#cursor !== undefined) headers.set('last-event-id', this.#cursor)
    return fetch(this.#url, { headers, signal })
  }

  /** Awaits a part of a response; aborts the connection if it takes too long. @throws UnreachableError */
  async #receive<Part>(part: Promise<Part>, connection: AbortController): Promise<Part> {
    const timer = setTimeout(() => {
      connection.abort(new Error(`nothing received for ${SILENCE_MS / 1000} s`))
    }, SILENCE_MS)
    try {
      return await part
    } catch (error) {
      throw new UnreachableError(this.#url.origin, error)
    } finally {
      clearTimeout(timer)
    }
  }
}
