import type { Generated } from 'kysely'

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

/** Each sender's messages in the order of pages, up to the watermark. */
interface SenderMessagesTable {
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
  rowid: number
  text: string
  /** The hidden column that `match` and FTS5's commands refer to. */
  trigrams: Generated<string>
}

/** The tables after the newest migration. */
export interface SqliteSchema {
  messages: MessagesTable
  heartbeat: HeartbeatTable
  watermark: WatermarkTable
  senders: SendersTable
  sender_messages: SenderMessagesTable
  days: DaysTable
  minutes: MinutesTable
  trigrams: TrigramsTable
}
