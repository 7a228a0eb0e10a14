/** Messages to erase: all of a sender, or those with these ids. */
export type Erasure = { from: string } | { ids: readonly string[] }

/** The result of one step of a removal. */
export interface RemovalStep {
  /** Number of messages that the step removed. */
  removed: number
  /** Whether there is nothing left to remove. */
  done: boolean
}

/** The result of one step of the removal of expired messages. */
export interface ExpiryStep extends RemovalStep {
  /** Sort key of the oldest message; undefined if no message has an instant. */
  oldest: string | undefined
}

/** Removes messages from a store: from its table of messages, its counters and its indexes. */
export interface MessageRemoval {
  /**
   * Removes messages whose instant is before a sort key, oldest first, in one short step.
   * Messages without an instant are removed by the time at which they were stored. Reads are exact after each step; to
   * remove all, call it until it is done. Cursors of the feed remain valid after a removed message.
   * @throws StoreUnavailableError when the store cannot be written now.
   */
  removeExpired(before: string): Promise<ExpiryStep>
  /**
   * Erases messages in one short step: they are removed, and a message with the id of one of them is never stored again.
   * Such a message counts as a duplicate. To erase all, call it until it is done, then `purge`.
   * @throws StoreUnavailableError when the store cannot be written now.
   */
  erase(erasure: Erasure): Promise<RemovalStep>
  /**
   * Overwrites or releases what removed messages left in the files of the database.
   * @param onStep called between steps; work continues once the returned promise has resolved.
   * @throws StoreUnavailableError when reads prevent it.
   */
  purge(onStep?: () => void | Promise<void>): Promise<void>
}
