/** One kind of difference between what is derived and what it is derived from. */
export interface Difference {
  table: string
  kind: string
  count: number
}

/** What became of comparing everything that is derived with a recount. */
export interface Verification {
  /** Messages that were compared: those that the counters and indexes cover. */
  messages: number
  /** Stored messages that are not indexed yet: reads take them from the messages themselves. */
  pending: number
  differences: Difference[]
}

/** Hears how many messages of how many were looked at. */
export type VerifyListener = (messages: number, total: number) => void
