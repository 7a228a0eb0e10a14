import type { Generated, Selectable } from 'kysely'
import type { NewRejectedRow } from '../rejected-bodies.ts'

/** The stored messages. Rows adopted from the legacy Python service may violate the webhook's rules. */
interface MessagesTable {
  /** Position in the order of arrival; an explicit column, so that VACUUM does not renumber it. */
  seq: Generated<number>
  message_id: string
  from_msisdn: string
  to_msisdn: string
  /** As the sender wrote it. */
  ts: string
  text: string | null
  created_at: string
  /** The sort key of `ts` (see `instantKey`); empty, and so first, if `ts` is not an instant. */
  ts_key: string
  source: string
  type: string
  /** The sender's own JSON of the message. */
  payload: string | null
}

/** One row, which every readiness check rewrites to prove that the file is writable. */
interface HeartbeatTable {
  id: 1
  at: string
}

/** One row: the `seq` of the last message that the tables below cover, and the totals up to it. */
interface WatermarkTable {
  id: 1
  seq: number
  /** The `seq` of the last message that the trigram index covers: at least that of the others. */
  trigrams: number
  messages: number
  senders: number
}

/** Number of messages of each sender, up to the watermark. */
interface SendersTable {
  id: Generated<number>
  msisdn: string
  count: number
}

/** Number of runs of a level that are merged into one run of the next level. */
export const FAN_IN = 8

/**
 * Maximum number of visible runs, all of which a read merges.
 * At this number, `SenderRuns.add` merges some first, which happens only if maintenance has not kept up.
 */
export const MAX_RUNS = 64

/** The sorted runs of the sender index: see `SenderRuns`. */
interface SenderRunsTable {
  run: Generated<number>
  /** 0 for a run of an indexing step; a run merged from runs of one level has the next level. */
  level: number
  /**
   * State of the run.
   * - `live`: visible to reads
   * - `source`: visible to reads, and being merged into the run `target`
   * - `target`: incomplete, not visible
   * - `obsolete`: merged, not visible, being deleted
   * - `upgrade`: being filled by `prepareSenderUpgrade`, not visible
   */
  state: 'live' | 'source' | 'target' | 'obsolete' | 'upgrade'
  /** The run that a `source` is merged into; null in all other states. */
  target: number | null
}

/** The states of runs whose entries are visible to reads. */
export const VISIBLE_STATES: readonly SenderRunsTable['state'][] = ['live', 'source']

/** A run of the sender index, as it is read. */
export type SenderRun = Selectable<SenderRunsTable>

/**
 * An entry of a run: a sender's message at its position in the order of pages.
 * The visible runs have exactly one entry for each message up to the watermark.
 */
export interface SenderEntry {
  run: number
  sender: number
  ts_key: string
  message_id: string
  seq: number
}

/**
 * Number of messages of each UTC day, up to the watermark.
 * A day is the first `DAY_LENGTH` characters of a sort key.
 */
interface DaysTable {
  day: string
  count: number
}

/**
 * Number of messages of each UTC minute, up to the watermark.
 * A minute is the first `MINUTE_LENGTH` characters of a sort key.
 */
interface MinutesTable {
  minute: string
  count: number
}

/** The trigram index of the folded texts, up to its own watermark: a contentless FTS5 table. */
interface TrigramsTable {
  rowid: Generated<number>
  text: Generated<string>
  /** The hidden column that `match` and FTS5's commands refer to. */
  trigrams: Generated<string>
  /** The hidden column that takes the arguments of FTS5's commands. */
  rank: Generated<number>
}

/** The bodies that were rejected although their signature is valid: the newest ones. */
interface RejectedBodiesTable extends NewRejectedRow {
  /** In order of arrival; never reused. */
  id: Generated<number>
}

/** One row: the `seq` before the first message of the feed. Every message at or before it was removed. */
interface FeedStartTable {
  id: 1
  seq: number
}

/** One row: the key of the digests below, see `keyedDigest`. */
interface DigestKeyTable {
  id: 1
  key: Uint8Array
}

/**
 * Positions in the feed whose message was removed, above that of `feed_start`.
 * A cursor at such a position is still valid.
 */
interface RemovedMessagesTable {
  seq: number
  /** Keyed digest of the digest in feed cursors. */
  digest: Uint8Array
}

/** The ids that were erased, and are never stored again. */
interface ErasedIdsTable {
  /** Keyed digest of the id. */
  digest: Uint8Array
}

/** Zeros that occupy free pages while an erasure overwrites these. */
interface FreePagesTable {
  id: Generated<number>
  zeros: Uint8Array
}

/** One row: the last backup by the command line; none before the first. */
interface LastBackupTable {
  id: 1
  at: string
}

/** The tables after the newest migration. */
export interface SqliteSchema {
  messages: MessagesTable
  heartbeat: HeartbeatTable
  watermark: WatermarkTable
  senders: SendersTable
  sender_runs: SenderRunsTable
  sender_entries: SenderEntry
  days: DaysTable
  minutes: MinutesTable
  trigrams: TrigramsTable
  rejected_bodies: RejectedBodiesTable
  feed_start: FeedStartTable
  digest_key: DigestKeyTable
  removed_messages: RemovedMessagesTable
  erased_ids: ErasedIdsTable
  free_pages: FreePagesTable
  last_backup: LastBackupTable
}
