/** A stored message. Texts that order anything are compared by their bytes, whatever the database's locale. */
interface MessagesTable {
  /** The batch that brought it, and its place there: the order of arrival. */
  batch: number
  place: number
  message_id: string
  from_msisdn: string
  to_msisdn: string
  /** As it was sent. */
  ts: string
  text: string | null
  /** The text under `fold`, which no locale has a say in; what is searched. */
  folded: string | null
  /** What is indexed of the folded text where that is not the text itself, see `searchKey`. */
  search_key: string | null
  created_at: string
  /** The sort key of `ts`, see `instantKey`. */
  ts_key: string
}

/** A row for each batch that the counters below do not have yet, committed together with its messages. */
interface UncountedTable {
  batch: number
  messages: number
}

/** One row: the messages and the senders that were counted. */
interface TotalsTable {
  id: 1
  messages: number
  senders: number
}

/** Messages per sender. */
interface SendersTable {
  msisdn: string
  count: number
}

/** Messages per UTC day, the first 10 characters of the sort key. */
interface DaysTable {
  day: string
  count: number
}

/** Messages per UTC minute, the first 16 characters of the sort key. */
interface MinutesTable {
  minute: string
  count: number
}

/** One row, rewritten by readiness checks to prove that the database takes writes. */
interface HeartbeatTable {
  id: 1
  at: string
}

/** The tables as the newest migration leaves them. */
export interface PostgresSchema {
  messages: MessagesTable
  uncounted: UncountedTable
  totals: TotalsTable
  senders: SendersTable
  days: DaysTable
  minutes: MinutesTable
  heartbeat: HeartbeatTable
}
