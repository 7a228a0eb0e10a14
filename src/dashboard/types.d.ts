/** A message of a page, with its details. */
export interface Message {
  message_id: string
  from_msisdn: string
  to_msisdn: string
  ts: string
  text: string | null
  created_at: string
  source?: string
  type?: string
  payload?: unknown
}

/** A page of `GET /messages`. */
export interface MessagesPage {
  data: Message[]
  /** Null with `total=none`. */
  total: number | null
  next?: string
}

/** `GET /status`. */
export interface Status {
  version: string
  started_at: string
  sources: { name: string; path: string }[]
  backlog_messages: number
}

/** `GET /stats`. */
export interface Stats {
  total_messages: number
  senders_count: number
  first_message_ts: string | null
  last_message_ts: string | null
}

/** A sender of `GET /senders`. */
export interface Sender {
  from: string
  count: number
  first_message_ts: string | null
  last_message_ts: string | null
}

/** `GET /stats/timeline`. */
export interface Timeline {
  data: { start: string; count: number }[]
}

/** A body of `GET /rejected`. */
export interface RejectedBody {
  id: number
  at: string
  source: string
  status: number
  problems: { loc: string[]; type: string }[]
  bytes: number
}

/** A page of `GET /rejected`. */
export interface RejectedPage {
  data: RejectedBody[]
  next?: number
}

/** `GET /rejected/{id}`. */
export interface DetailedRejectedBody extends RejectedBody {
  headers: Record<string, string>
  body: string | null
  body_base64: string
}
