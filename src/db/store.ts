import type { Static } from '@sinclair/typebox'
import type { MessagesPage, StoredMessage } from '../schemas/messages.ts'
import type { Stats } from '../schemas/stats.ts'

/** A validated message on its way to the store. */
export type NewMessage = Static<typeof StoredMessage>

/** What became of a message: stored now, or known already, in which case the first one stays untouched. */
export type AppendOutcome = 'created' | 'duplicate'

/** Which messages a question is about; what is absent does not restrict. */
export interface MessageFilter {
  /** The sender, exactly. */
  from?: string | undefined
  /** The sort key of the earliest instant (see `instantKey`); a message without an instant never matches. */
  since?: string | undefined
  /** A literal substring of the text under `fold`; empty matches every message, also one without text. */
  q?: string | undefined
}

/** One page of what a filter matches, by instant and then by the bytes of the id. */
export interface PageQuery extends MessageFilter {
  /** Rows at most, 1 or more. */
  limit: number
  /** Rows skipped, 0 or more. */
  offset: number
}

/** Where messages live. Every promise here holds for every implementation. */
export interface MessageStore {
  /**
   * Stores the batch durably, all or nothing, and tells each message's outcome in order. Resolves only when the
   * rows are committed and synced to disk; an id that occurs twice in the batch is created once.
   * @throws StoreUnavailableError when the store cannot take it now; nothing of the batch is acknowledged then.
   */
  append(batch: readonly NewMessage[]): Promise<AppendOutcome[]>
  /** A page and its total from one snapshot, which holds every message acknowledged before the call. */
  page(query: PageQuery): Promise<Static<typeof MessagesPage>>
  /** Totals, the ten busiest senders and the extremes, from one snapshot. */
  stats(): Promise<Static<typeof Stats>>
  /** Resolves when the store has just been read and written, rejects when it cannot be; may take long. */
  ready(): Promise<void>
  /** Ends what is under way and releases everything; reads that are under way may be cut off. */
  close(): Promise<void>
}

/** The store cannot do this now, and may be able to later: locked, full, away, or closing. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError'
}

/** The store can never be opened like this; the message is one line for the operator. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError'
}
