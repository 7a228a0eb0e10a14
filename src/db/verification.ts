/** A kind of difference between a table of counters or an index and a recount of the messages. */
export interface Difference {
  table: string
  kind: string
  count: number
}

/** The result of comparing all counters and indexes with a recount of the messages. */
export interface Verification {
  /** Number of messages that were compared: those that the counters and indexes cover. */
  messages: number
  /** Number of stored messages that are not indexed yet. Reads process them one by one. */
  pending: number
  differences: Difference[]
}

/** Called with the number of messages that have been read, and their total. */
export type VerifyListener = (messages: number, total: number) => void
