import type { Generated } from 'kysely'

/** A stored message. Rows adopted from the reference's table may break the webhook's rules for their fields. */
interface MessagesTable {
  /** Order of arrival; explicit, so that VACUUM never renumbers what an index refers to. */
  seq: Generated<number>
  message_id: string
  from_msisdn: string
  to_msisdn: string
  /** As it was sent. */
  ts: string
  text: string | null
  created_at: string
  /** The sort key of `ts` (see `instantKey`), empty where `ts` is no instant: it sorts first. */
  ts_key: string
}

/** One row, rewritten by every readiness check to prove that the file takes writes. */
interface HeartbeatTable {
  id: 1
  at: string
}

/** One row: the last message that everything below was derived from, and the totals up to it. */
interface WatermarkTable {
  id: 1
  seq: number
  messages: number
  senders: number
}

/** Messages per sender, up to the watermark. */
interface SendersTable {
  id: Generated<number>
  msisdn: string
  count: number
}

/** Every message by sender, in the order of pages, up to the watermark. */
interface SenderMessagesTable {
  sender: number
  ts_key: string
  message_id: string
  seq: number
}

/** Messages per UTC day, the first 10 characters of the sort key, up to the watermark. */
interface DaysTable {
  day: string
  count: number
}

/** Messages per UTC minute, the first 16 characters of the sort key, up to the watermark. */
interface MinutesTable {
  minute: string
  count: number
}

/** Every three code points in a row of the folded texts, up to the watermark; FTS5 without its content. */
interface TrigramsTable {
  rowid: number
  text: string
  /** The hidden column that FTS5 matches a phrase against. */
  trigrams: Generated<string>
}

/** The tables as the newest migration leaves them. */
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
