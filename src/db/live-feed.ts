import { type FeedFilter, matcherOf } from '../message/filter.ts'
import { fold } from '../message/fold.ts'
import { comparePositions, type FeedCursor } from '../schemas/feed-cursor.ts'
import type {
  FeedMessage,
  FeedPage,
  FeedQuery,
  MessageStore,
  StaleCursor,
} from './message-store.ts'

/** Messages per read while the feed is followed. */
const READ_LIMIT = 1000

/** Minimum milliseconds between two shared reads; messages that arrive in between share one. */
const READ_INTERVAL_MS = 50

/** Milliseconds between two reads without a notification; other processes may store messages, too. */
const POLL_INTERVAL_MS = 250

/** The query of a follower. */
export interface FollowQuery extends FeedQuery {
  /** Milliseconds without a matching message after which an empty page is returned. */
  idleMs: number
}

/** A follower that has read all messages and waits for the next one that matches. */
interface Follower {
  cursor: FeedCursor
  matches: ReturnType<typeof matcherOf>
  /** Called with the next matching messages, or undefined if the follower must read the store itself. */
  resolve: (page: FeedPage | undefined) => void
}

function foldedTextOf(message: FeedMessage, known: Map<FeedMessage, string>): string {
  const text = known.get(message) ?? fold(message.text ?? '')
  known.set(message, text)
  return text
}

/**
 * The feed for any number of followers.
 * A follower reads the store at its own pace until it has read everything. From then on it waits, and one read of the
 * store serves all waiting followers. A follower that does not request its next page before that read reads the store
 * itself again, so that nothing is buffered for slow followers.
 */
export class LiveFeed {
  readonly #store: Pick<MessageStore, 'feed'>
  readonly #readTimeoutMs: number
  readonly #waiting = new Set<Follower>()
  /** Cursor after which the shared reads continue; meaningful while a follower waits. */
  #cursor: FeedCursor | undefined
  #reading = false
  /** Whether messages were committed during the current read. */
  #notified = false
  #timer: NodeJS.Timeout | undefined
  #dueAt = Number.POSITIVE_INFINITY
  #closed = false

  /** @param readTimeoutMs milliseconds for each read of the store. */
  constructor(store: Pick<MessageStore, 'feed'>, readTimeoutMs: number) {
    this.#store = store
    this.#readTimeoutMs = readTimeoutMs
  }

  /** Number of followers that wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /**
   * Yields the pages of the feed after the cursor as they become available, some of them empty.
   * Ends after a stale cursor, and when the feed is closed and the follower has read everything.
   */
  async *follow(
    { after, filter, limit, idleMs }: FollowQuery,
    signal: AbortSignal,
  ): AsyncGenerator<FeedPage | StaleCursor, void> {
    let cursor = after
    for (;;) {
      let page: FeedPage | StaleCursor | undefined = await this.#store.feed(
        { filter, limit, after: cursor },
        AbortSignal.any([signal, AbortSignal.timeout(this.#readTimeoutMs)]),
      )
      yield page
      while (page && !('oldest' in page) && page.done) {
        cursor = page.next
        if (this.#closed) return
        page = await this.#next(cursor, filter, idleMs, signal)
        if (page) yield page
      }
      if (page && 'oldest' in page) return
      if (page) cursor = page.next
    }
  }

  /** Schedules a read; to be called after messages were committed. */
  notify(): void {
    this.#notified = true
    if (this.#waiting.size > 0) this.#schedule(READ_INTERVAL_MS)
  }

  /** Ends the waiting followers now, and the others when they have read everything. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    for (const { cursor, resolve } of this.#waiting) resolve({ data: [], next: cursor, done: true })
  }

  /** Waits for the next matching messages; undefined if the follower must read the store itself. */
  #next(
    cursor: FeedCursor,
    filter: FeedFilter,
    idleMs: number,
    signal: AbortSignal,
  ): Promise<FeedPage | undefined> {
    // A read in progress continues from its own cursor, even if all of its followers have ended.
    const isIdle = this.#waiting.size === 0 && !this.#reading
    if (isIdle || !this.#cursor) this.#cursor = cursor
    if (comparePositions(cursor.position, this.#cursor.position) < 0) {
      return Promise.resolve(undefined)
    }
    const { promise, resolve, reject } = Promise.withResolvers<FeedPage | undefined>()
    const end = (): void => {
      clearTimeout(idle)
      signal.removeEventListener('abort', abort)
      this.#waiting.delete(follower)
    }
    const follower: Follower = {
      cursor,
      matches: matcherOf(filter),
      resolve(page) {
        end()
        resolve(page)
      },
    }
    const abort = (): void => {
      end()
      reject(signal.reason)
    }
    const idle = setTimeout(() => {
      follower.resolve({ data: [], next: follower.cursor, done: true })
    }, idleMs)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    else this.#waiting.add(follower)
    // Messages may have been committed since the follower read the store.
    this.#schedule(READ_INTERVAL_MS)
    return promise
  }

  #schedule(delayMs: number): void {
    const dueAt = performance.now() + delayMs
    if (this.#closed || this.#reading || dueAt >= this.#dueAt) return
    clearTimeout(this.#timer)
    this.#dueAt = dueAt
    this.#timer = setTimeout(() => void this.#read(), delayMs)
  }

  /** Reads the next messages for all followers that wait. */
  async #read(): Promise<void> {
    this.#dueAt = Number.POSITIVE_INFINITY
    if (this.#waiting.size === 0) return
    this.#reading = true
    this.#notified = false
    const page = await this.#store
      .feed(
        { filter: {}, after: this.#cursor, limit: READ_LIMIT },
        AbortSignal.timeout(this.#readTimeoutMs),
      )
      .catch(() => undefined)
    this.#reading = false
    // On an error, each follower reads the store itself, and rejects with the error of that read.
    if (!page || 'oldest' in page) for (const { resolve } of this.#waiting) resolve(undefined)
    else this.#deliver(page)
    if (this.#waiting.size > 0) {
      const more = this.#notified || (page && 'done' in page && !page.done)
      this.#schedule(more ? READ_INTERVAL_MS : POLL_INTERVAL_MS)
    }
  }

  #deliver({ data, next }: FeedPage): void {
    if (data.length === 0) return
    this.#cursor = next
    const folded = new Map<FeedMessage, string>()
    // One object for all followers that match every message, so that they share its serialization.
    const whole = { data, next, done: true }
    for (const follower of this.#waiting) {
      const matching = data.filter(
        (message) =>
          comparePositions(message.position, follower.cursor.position) > 0 &&
          follower.matches(message, () => foldedTextOf(message, folded)),
      )
      // `done` is true even if the store has more messages: the follower waits for the next shared read.
      if (matching.length === data.length) follower.resolve(whole)
      else if (matching.length > 0) follower.resolve({ data: matching, next, done: true })
      else if (comparePositions(next.position, follower.cursor.position) > 0) follower.cursor = next
    }
  }
}
