/**
 * Stored messages.
 * All text columns have the collation `C`: they are compared by their bytes, whatever the locale of the database.
 */
interface MessagesTable {
  /** Number of the batch that inserted the row; with `ordinal`, the order of arrival. */
  batch: number
  /** Position of the message in its batch, from 1. */
  ordinal: number
  message_id: string
  from_msisdn: string
  to_msisdn: string
  /** The timestamp as the sender wrote it. */
  ts: string
  text: string | null
  /** The text under `fold`, which searches compare. */
  folded: string | null
  /** Key that the text index covers instead of the folded text, null if both are equal; see `searchKey`. */
  search_key: string | null
  created_at: string
  /** Sort key of `ts`, see `instantKey`; empty if `ts` is not an instant. */
  ts_key: string
}

/** Batches that the counters do not include yet; each row is committed together with its messages. */
interface PendingBatchesTable {
  batch: number
  /** Messages that the batch inserted. */
  messages: number
}

/** One row: the numbers of messages and senders that the counters include. */
interface TotalsTable {
  id: 1
  messages: number
  senders: number
}

/** Messages by sender. */
interface SendersTable {
  msisdn: string
  count: number
}

/** Messages by UTC day, the first 10 characters of the sort key. */
interface DaysTable {
  day: string
  count: number
}

/** Messages by UTC minute, the first 16 characters of the sort key. */
interface MinutesTable {
  minute: string
  count: number
}

/** One row, which readiness checks rewrite to prove that the database is writable. */
interface HeartbeatTable {
  id: 1
  at: string
}

/** The tables after the newest migration. */
export interface PostgresSchema {
  messages: MessagesTable
  pending_batches: PendingBatchesTable
  totals: TotalsTable
  senders: SendersTable
  days: DaysTable
  minutes: MinutesTable
  heartbeat: HeartbeatTable
}
