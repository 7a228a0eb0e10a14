import type { GeneratedAlways } from 'kysely'
import type { NewRejectedRow } from '../rejected-bodies.ts'

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
  source: string
  type: string
  /** The sender's own JSON of the message. */
  payload: string | null
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

/** Bodies that were rejected although their signature is valid: the newest ones. */
interface RejectedBodiesTable extends NewRejectedRow {
  /** In order of arrival; never reused. */
  id: GeneratedAlways<number>
}

/** The order of the feed: one row for each batch, committed together with its messages. */
interface FeedBatchesTable {
  /** Number of the cluster that stored the batch; transaction ids of different clusters do not compare. */
  epoch: number
  /** Id of the transaction, an `xid8`, as text. */
  xid: string
  batch: number
}

/** One row: the state of the feed. */
interface FeedStateTable {
  id: 1
  /** The epoch of new batches. */
  epoch: number
  /** The last batch from before `feed_batches` existed; these come first, in order of their numbers. */
  unordered_batch: number
  /** The position before the first message. Every message at or before it was removed. */
  start_epoch: number
  start_xid: number
  start_batch: number
  start_ordinal: number
}

/** One row: the key of the digests below. */
interface DigestKeyTable {
  id: 1
  key: Uint8Array
}

/**
 * Positions in the feed whose message was removed, after the start of the feed.
 * A cursor at such a position is still valid.
 */
interface RemovedMessagesTable {
  epoch: number
  xid: number
  batch: number
  ordinal: number
  /** Keyed digest of the digest in feed cursors. */
  digest: Uint8Array
}

/** The ids that were erased, and are never stored again. */
interface ErasedIdsTable {
  /** Keyed digest of the id. */
  digest: Uint8Array
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
  rejected_bodies: RejectedBodiesTable
  feed_batches: FeedBatchesTable
  feed_state: FeedStateTable
  digest_key: DigestKeyTable
  removed_messages: RemovedMessagesTable
  erased_ids: ErasedIdsTable
}
