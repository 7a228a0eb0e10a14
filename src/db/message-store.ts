import type {
  FeedFilter,
  HashedPosition,
  MessageFilter,
  Order,
  PagePosition,
} from '../message/filter.ts'
import type {
  MessageDetails,
  MessageWithDetails,
  NewMessage,
  StoredMessage,
} from '../message/message.ts'
import type { FeedCursor } from '../schemas/feed-cursor.ts'
import type { Stats } from '../schemas/stats.ts'
import type { BatcherOptions } from './batcher.ts'
import type { RejectedBodyStore } from './rejected-bodies.ts'
import type { MessageRemoval } from './removal.ts'
import type { SenderPage, SenderQuery } from './sender-query.ts'

/**
 * The outcome of storing one message.
 * A message whose id is already stored changes nothing: it is a `duplicate` if sender, recipient, timestamp and text
 * are equal, else a `conflict`.
 */
export type AppendOutcome = 'created' | 'duplicate' | 'conflict'

/** A query for one page of the messages that match a filter. */
export interface PageQuery extends MessageFilter {
  order: Order
  /** Maximum number of messages, at least 1. */
  limit: number
  /** Number of matching messages to skip, at least 0. */
  offset: number
  /** Position after which the page starts. */
  after?: PagePosition | undefined
  /** Whether the messages have their details; default false. */
  details?: boolean
  /** Whether to count the messages that match on all pages; default true. */
  withTotal?: boolean
}

/** A page of messages. */
export interface MessagePage {
  data: (StoredMessage & Partial<MessageDetails>)[]
  /** Number of messages that match on all pages; may be undefined if the query is without a total. */
  total: number | undefined
  /** Position after which the next page starts; undefined if this page is the last one. */
  next: PagePosition | undefined
}

/** A query for the next messages of the feed. */
export interface FeedQuery {
  filter: FeedFilter
  /** The feed continues after this cursor; default: at its first message. */
  after?: FeedCursor | undefined
  /** Maximum number of messages, at least 1. */
  limit: number
}

/** A message of the feed. */
export type FeedMessage = MessageWithDetails & Pick<FeedCursor, 'position'>

/** The next messages of the feed. */
export interface FeedPage {
  data: FeedMessage[]
  /** Cursor after the last message that was read, whether or not it matches the filter. */
  next: FeedCursor
  /** Whether there was no message after `next`. */
  done: boolean
}

/**
 * The feed cannot continue after the cursor without missing messages.
 * The message at the cursor was removed, or the cursor belongs to another database.
 */
export interface StaleCursor {
  /** Cursor before the first message that there is. */
  oldest: FeedCursor
}

/** Number of messages that a restricted read of the feed examines at most. */
export const FEED_WINDOW = 10_000

/** A query for the numbers of messages between instants. */
export interface TimelineQuery {
  /**
   * Sort keys in ascending order, at least two.
   * A bucket contains the messages from one key, inclusive, to the next one, exclusive.
   */
  boundaries: readonly string[]
  /** The sender; exact match. */
  from?: string | undefined
}

/** Number of senders in the statistics. */
export const TOP_SENDERS = 10

/** The state of a store. */
export interface StoreStatus {
  /** Number of committed messages that the counters and indexes do not cover yet. */
  backlog: number
  /** Size of the write-ahead log in bytes; 0 if the store does not have a log of its own. */
  walBytes: number
}

/** The usage of a connection pool. */
export interface PoolUsage {
  total: number
  idle: number
  /** Number of callers that wait for a connection. */
  waiting: number
}

/** The size of a store. */
export interface StoreSize {
  messages: number
  databaseBytes: number
  /** Free bytes on the disk of the database; undefined if unknown. */
  freeBytes: number | undefined
  /** Time of the last backup, in RFC 3339; null if none is recorded, undefined if the store records none. */
  lastBackup: string | null | undefined
}

/** Called with the number of messages left. Work continues once the returned promise has resolved. */
export type ProgressListener = (left: number) => void | Promise<void>

/** Called with a warning for the operator. */
export type WarningListener = (message: string, details: Record<string, unknown>) => void

/** A store of messages. Every implementation keeps all guarantees below. */
export interface MessageStore {
  /**
   * Stores a batch, all or nothing, and returns the outcome of each message in order.
   * Resolves when the messages are committed and synced to disk. If an id occurs more than once, the first message is
   * stored and the others are compared with it.
   * @param waitedMs milliseconds that the oldest message has waited; shortens the time limit, if the store has one.
   * @throws StoreUnavailableError when the store cannot store the batch now; no message is acknowledged then.
   */
  append(batch: readonly NewMessage[], waitedMs?: number): Promise<AppendOutcome[]>
  /**
   * Returns a page, with its total unless the query is without one, from one snapshot.
   * The snapshot contains every message that was acknowledged before the call. Rejects when the signal is aborted.
   */
  page(query: PageQuery, signal?: AbortSignal): Promise<MessagePage>
  /** Returns the position of the message with this sort key and hashed id, if there is one. */
  findPosition(position: HashedPosition, signal?: AbortSignal): Promise<PagePosition | undefined>
  /** Returns the statistics from one snapshot. */
  stats(signal?: AbortSignal): Promise<Stats>
  /** Returns the number of messages in each bucket from one snapshot. Rejects when the signal is aborted. */
  timeline(query: TimelineQuery, signal?: AbortSignal): Promise<number[]>
  /** Returns a page of senders from one snapshot. Rejects when the signal is aborted. */
  senders(query: SenderQuery, signal?: AbortSignal): Promise<SenderPage>
  /** Returns the message with this id, if there is one. */
  message(id: string, signal?: AbortSignal): Promise<MessageWithDetails | undefined>
  /**
   * Returns the next messages in the order in which they became durable.
   * The order is the same for every reader, and no message ever appears before one that was returned. A restricted read
   * examines at most `FEED_WINDOW` messages, so that it may return none although `done` is false.
   */
  feed(query: FeedQuery, signal?: AbortSignal): Promise<FeedPage | StaleCursor>
  /** Returns the cursor after the last message of the feed. */
  feedEnd(signal?: AbortSignal): Promise<FeedCursor>
  /** The bodies that were rejected although their signature is valid. */
  readonly rejected: RejectedBodyStore
  /** Removes messages. */
  readonly removal: MessageRemoval
  /** Updates the counters and indexes. Reads are exact without it, and faster after it. */
  catchUp(onProgress?: ProgressListener): Promise<void>
  /** How messages should be batched for `append`. */
  readonly batching: Pick<BatcherOptions, 'concurrency' | 'minConcurrentBatch'>
  /** The most recent status, read from memory. */
  readonly status: StoreStatus
  /** The connection pools by purpose, read from memory; empty if the store has none. */
  readonly pools: Readonly<Record<string, PoolUsage>>
  /** Measures the store, which may take as long as a read. */
  size(): Promise<StoreSize>
  /**
   * Resolves if the store is ready: it has just been read and written.
   * Also resolves while a write is pending within the time limit of `append`. Rejects when the store cannot be written,
   * and always after corruption was found.
   */
  ready(): Promise<void>
  /** Finishes pending appends and releases all resources. May cancel pending reads. */
  close(): Promise<void>
}

/** The store is unavailable now and may be available later: locked, full, unreachable or closing. */
export class StoreUnavailableError extends Error {
  override readonly name: string = 'StoreUnavailableError'
}

/** The database is corrupt. The store accepts no more messages, as it could not guarantee to keep them. */
export class StoreCorruptError extends StoreUnavailableError {
  override readonly name = 'StoreCorruptError'
}

/**
 * A file that the store shares with other processes was removed or replaced.
 * The store must be reopened.
 */
export class StoreDetachedError extends StoreUnavailableError {
  override readonly name = 'StoreDetachedError'
}

/** The database cannot be opened. The message is one line for the operator. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError'
}
