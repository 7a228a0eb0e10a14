import type { Generated, Selectable } from 'kysely'

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
  messages: number
  senders: number
}

/** Number of messages of each sender, up to the watermark. */
interface SendersTable {
  id: Generated<number>
  msisdn: string
  count: number
}

/** The sorted runs of the sender index: see `SenderRuns`. */
interface SenderRunsTable {
  run: Generated<number>
  /** 0 for a run that an indexing step added; a merge of runs of one level has the next one. */
  level: number
  /**
   * - `live`: visible to reads
   * - `source`: visible to reads, and being merged into the run `target`
   * - `target`: incomplete, not visible
   * - `obsolete`: merged, not visible, being deleted
   * - `upgrade`: being filled by `prepareSenderUpgrade`, not visible
   */
  state: 'live' | 'source' | 'target' | 'obsolete' | 'upgrade'
  target: number | null
}

/** A run of the sender index, as it is read. */
export type SenderRun = Selectable<SenderRunsTable>

/** An entry of a run: a sender's message at its position in the order of pages. The visible runs cover the watermark. */
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

/** The trigram index of the folded texts, up to the watermark: a contentless FTS5 table. */
interface TrigramsTable {
  rowid: Generated<number>
  text: Generated<string>
  /** The hidden column that `match` and FTS5's commands refer to. */
  trigrams: Generated<string>
  /** The hidden column that takes the arguments of FTS5's commands. */
  rank: Generated<number>
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
}
