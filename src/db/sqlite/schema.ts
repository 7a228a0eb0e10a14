import type { Generated } from 'kysely'

/** A stored message. Rows adopted from the reference's table may break the webhook's rules for their fields. */
export interface MessagesTable {
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
export interface HeartbeatTable {
  id: 1
  at: string
}

/** The tables as the newest migration leaves them. */
export interface SqliteSchema {
  messages: MessagesTable
  heartbeat: HeartbeatTable
}
