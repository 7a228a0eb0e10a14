import type { HashedPosition, MessageFilter, Order, PagePosition } from '../message/filter.ts'
import type { StoredMessage } from '../message/message.ts'
import type { Stats } from '../schemas/stats.ts'
import type { BatcherOptions } from './batcher.ts'

/**
 * What became of a message: stored now, or known already, in which case the first one stays untouched; `altered` where
 * its sender, receiver, timestamp or text differ from those of the first one.
 */
export type AppendOutcome = 'created' | 'duplicate' | 'conflict'

/** One page of what a filter matches. */
export interface PageQuery extends MessageFilter {
  order: Order
  /** Rows at most, 1 or more. */
  limit: number
  /** Rows skipped, 0 or more. */
  offset: number
  /** Only what comes after this place. */
  after?: PagePosition | undefined
}

/** A page, how many messages match on all pages, and where the next page begins, if there is one. */
export interface MessagePage {
  data: StoredMessage[]
  total: number
  next: PagePosition | undefined
}

/** How many senders the statistics name. */
export const TOP_SENDERS = 10

/** How a store is. */
export interface StoreStatus {
  /** Committed messages that answers were not prepared from yet. */
  backlog: number
  /** The size of its write-ahead log, where it has one of its own. */
  walBytes: number
}

/** Pools of one pool. */
export interface PoolUsage {
  total: number
  idle: number
  /** Callers that wait for a connection. */
  waiting: number
}

/** How much a store holds. */
export interface StoreSize {
  messages: number
  databaseBytes: number
  /** Bytes that are left on the disk of the database; undefined where the store cannot know. */
  freeBytes: number | undefined
}

/** Hears how many messages are left, and may hold back what comes next. */
export type ProgressListener = (left: number) => void | Promise<void>

/** Hears what an operator should know and what stops nothing. */
export type WarningListener = (message: string, details: Record<string, unknown>) => void

/** Where messages live. Every promise here holds for every implementation. */
export interface MessageStore {
  /**
   * Stores the batch durably, all or nothing, and tells each message's outcome in order. Resolves only when the
   * rows are committed and synced to disk; an id that occurs twice in the batch is created once, and its first
   * message is what the later ones are compared with.
   * @param waitedMs milliseconds that the oldest of them has waited; shortens the time limit, where there is one.
   * @throws StoreUnavailableError when the store cannot take it now; nothing of the batch is acknowledged then.
   */
  append(batch: readonly StoredMessage[], waitedMs?: number): Promise<AppendOutcome[]>
  /**
   * A page and its total from one snapshot, which holds every message acknowledged before the call. An aborted read
   * is cut off and rejects.
   */
  page(query: PageQuery, signal?: AbortSignal): Promise<MessagePage>
  /** Returns the position of the message with this sort key and hashed id, if there is one. */
  findPosition(position: HashedPosition, signal?: AbortSignal): Promise<PagePosition | undefined>
  /** Totals, the ten busiest senders and the extremes, from one snapshot. */
  stats(signal?: AbortSignal): Promise<Stats>
  /**
   * Every message that the filter matches, in order of arrival, a few at a time: all that were acknowledged before the
   * first were asked for, and none that came later, in memory that does not grow with them. Whoever stops early must
   * say so (`return`, as a loop that is left does): what a scan reads from is held open for it.
   */
  scan(filter: MessageFilter): AsyncIterable<StoredMessage[]>
  /** The message with this id. */
  message(id: string, signal?: AbortSignal): Promise<StoredMessage | undefined>
  /**
   * Brings up to date whatever answers are derived from, for the messages stored so far. Answers are exact without it,
   * and faster after it.
   */
  catchUp(onProgress?: ProgressListener): Promise<void>
  /** How it wants its batches. */
  readonly batching: Pick<BatcherOptions, 'concurrency' | 'minConcurrentBatch'>
  /** How the store was when it last told, without asking it. */
  readonly status: StoreStatus
  /** The connection pools by purpose, read from memory; none where the store has no connections to share. */
  readonly pools: Readonly<Record<string, PoolUsage>>
  /** Measures the store; may take as long as a read. */
  size(): Promise<StoreSize>
  /**
   * Resolves when the store has just been read and written, or when a write still waits and has not reached the time
   * limit of `append`; rejects when it cannot be written. Once damage was found it rejects for good.
   */
  ready(): Promise<void>
  /** Ends what is under way and releases everything; reads that are under way may be cut off. */
  close(): Promise<void>
}

/** The store cannot do this now, and may be able to later: locked, full, away, or closing. */
export class StoreUnavailableError extends Error {
  override readonly name: string = 'StoreUnavailableError'
}

/** What is stored was found damaged: from then on nothing is taken, since it could not be promised to be kept. */
export class StoreCorruptError extends StoreUnavailableError {
  override readonly name = 'StoreCorruptError'
}

/** A file that the store shares with other processes was removed or replaced: it is unusable until it is opened anew. */
export class StoreDetachedError extends StoreUnavailableError {
  override readonly name = 'StoreDetachedError'
}

/** The store can never be opened like this; the message is one line for the operator. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError'
}
