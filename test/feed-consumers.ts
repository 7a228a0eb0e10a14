import { Agent, get, type IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { until } from '../tools/until.ts'

/** Milliseconds before a consumer reconnects. */
const RECONNECT_MS = 50

/** Milliseconds without data after which a consumer reconnects; above the interval of signs of life. */
const SILENCE_MS = 20_000

/** Seconds for which a request by long polling waits. */
const WAIT_S = 10

/** Milliseconds within which a consumer must have read all messages. */
const CAUGHT_UP_MS = 60_000

/** A response from which no consumer can continue, such as 410: the promise of the feed is broken. */
class FeedError extends Error {}

/** A program that follows the feed, and keeps nothing but its cursor. */
abstract class FeedConsumer {
  /** Ids of the messages in the order in which they were read. */
  readonly ids: string[] = []
  protected cursor: string | undefined
  protected readonly agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #url: () => string
  readonly #stopping = new AbortController()
  readonly #stopped: Promise<void>
  #failure: FeedError | undefined

  /** @param url returns the URL of the service; called for each request, and may throw. */
  constructor(url: () => string) {
    this.#url = url
    this.#stopped = this.#run()
  }

  /** Sends one request, and reads its response to the end. */
  protected abstract read(url: string): Promise<void>

  /**
   * Resolves once all of these messages were read.
   * @throws Error if some of them are missing after the time limit.
   */
  async caughtUp(ids: ReadonlySet<string>): Promise<void> {
    const missing = new Set(ids)
    let checked = 0
    const isComplete = () => {
      if (this.#failure) throw this.#failure
      for (; checked < this.ids.length; checked++) missing.delete(this.ids[checked] ?? '')
      return missing.size === 0
    }
    await until(`${this.constructor.name} read ${ids.size} messages`, isComplete, CAUGHT_UP_MS)
  }

  /** Stops reading. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.agent.destroy()
    await this.#stopped
  }

  /** Requests a URL. @throws FeedError for a status that a retry would not change. */
  protected async request(
    url: string,
    headers: Record<string, string> = {},
  ): Promise<IncomingMessage> {
    const { agent } = this
    const { signal } = this.#stopping
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = get(url, { agent, headers, signal, timeout: SILENCE_MS }, resolve)
      outgoing.on('error', reject)
      outgoing.on('timeout', () => outgoing.destroy(new Error('no data')))
    })
    response.setEncoding('utf8')
    const { statusCode = 0 } = response
    if (statusCode === 200) return response
    const body = (await response.toArray()).join('')
    throw new (statusCode < 500 ? FeedError : Error)(`status ${statusCode}: ${body}`)
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        await this.read(`${this.#url()}/feed`)
      } catch (error) {
        if (error instanceof FeedError) {
          this.#failure = error
          return
        }
        await delay(RECONNECT_MS)
      }
    }
  }
}

/** A consumer that requests pages, and waits for them (`wait`). */
class LongPollingConsumer extends FeedConsumer {
  protected async read(url: string): Promise<void> {
    const query = new URLSearchParams({ wait: String(WAIT_S), limit: '200' })
    if (this.cursor !== undefined) query.set('cursor', this.cursor)
    const response = await this.request(`${url}?${query}`)
    const page: { data: { message_id: string }[]; next: string } = JSON.parse(
      (await response.toArray()).join(''),
    )
    this.ids.push(...page.data.map(({ message_id }) => message_id))
    this.cursor = page.next
  }
}

/** A consumer of the stream of server-sent events, which reconnects with `Last-Event-ID`. */
class EventConsumer extends FeedConsumer {
  protected async read(url: string): Promise<void> {
    const headers: Record<string, string> = { accept: 'text/event-stream' }
    if (this.cursor !== undefined) headers['last-event-id'] = this.cursor
    let text = ''
    for await (const chunk of await this.request(url, headers)) {
      const events = (text + chunk).split('\n\n')
      text = events.pop() ?? ''
      for (const event of events) this.#dispatch(event)
    }
    throw new Error('the stream ended')
  }

  #dispatch(event: string): void {
    const fields = new Map(
      event.split('\n').map((line): [string, string] => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon), line.slice(colon + 1).trimStart()]
      }),
    )
    const data = fields.get('data')
    if (fields.has('event')) throw new FeedError(event)
    if (data !== undefined) this.ids.push(JSON.parse(data).message_id)
    this.cursor = fields.get('id') ?? this.cursor
  }
}

/** Consumers that follow the same feed. */
export type Consumers = readonly FeedConsumer[]

/** Starts a consumer of each kind at the first message; they stop at the latest when the test ends. */
export function startConsumers(t: Test, url: () => string): Consumers {
  const consumers = [new LongPollingConsumer(url), new EventConsumer(url)]
  t.teardown(() => Promise.all(consumers.map((consumer) => consumer.stop())))
  return consumers
}

/**
 * Asserts that the consumers have read every acknowledged message, none twice, and in the same order.
 * A consumer that starts only now must read the same. Nothing may be stored any more.
 * @param url the URL of the service.
 * @returns the ids in the order of the feed, some of which may not be acknowledged.
 */
export async function assertFeed(
  t: Test,
  consumers: Consumers,
  url: string,
  acknowledged: readonly string[],
): Promise<string[]> {
  const late = new LongPollingConsumer(() => url)
  t.teardown(() => late.stop())
  const all = [...consumers, late]
  const expected = new Set(acknowledged)
  await Promise.all(all.map((consumer) => consumer.caughtUp(expected)))
  // Messages that are not acknowledged may follow.
  const read = new Set(all.flatMap(({ ids }) => ids))
  await Promise.all(all.map((consumer) => consumer.caughtUp(read)))
  for (const consumer of all) {
    await consumer.stop()
    const { ids } = consumer
    const { name } = consumer.constructor
    t.equal(ids.length, read.size, `${name}: each of ${read.size} messages once`)
    const difference = ids.findIndex((id, index) => id !== late.ids[index])
    t.equal(difference, -1, `${name}: in the same order`)
  }
  return late.ids
}
