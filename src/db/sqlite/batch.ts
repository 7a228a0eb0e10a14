import { DETAIL_COLUMNS, MESSAGE_COLUMNS } from '../../message/columns.ts'
import { instantKey } from '../../message/instant.ts'
import { DEFAULT_DETAILS, type MessageWithDetails, type NewMessage } from '../../message/message.ts'
import type { AppendOutcome } from '../message-store.ts'

/**
 * The fields of a batch of messages as one flat list.
 * Posting it to a worker is far faster than posting objects.
 */
export type FlatBatch = (string | null)[]

/** Number of fields of a message: `MESSAGE_COLUMNS`, then `DETAIL_COLUMNS`. */
const FIELDS = MESSAGE_COLUMNS.length + DETAIL_COLUMNS.length

/** The fields of one message in the order of a batch. */
type Fields = [
  message_id: string,
  from_msisdn: string,
  to_msisdn: string,
  ts: string,
  text: string | null,
  created_at: string,
  source: string,
  type: string,
  payload: string | null,
]

/** A message with its sort key, as the writer inserts it. */
export type MessageRow = MessageWithDetails & { ts_key: string }

/** Returns the fields of all messages, message by message. */
export function flatten(batch: readonly NewMessage[]): FlatBatch {
  const flat: FlatBatch = []
  for (const message of batch) {
    for (const field of MESSAGE_COLUMNS) flat.push(message[field])
    for (const field of DETAIL_COLUMNS) flat.push(message[field] ?? DEFAULT_DETAILS[field])
  }
  return flat
}

/**
 * Returns the messages of a flattened batch with their sort keys.
 * The sort key is empty if `ts` is not an instant.
 */
export function unflatten(flat: FlatBatch): MessageRow[] {
  const messages: MessageRow[] = []
  for (let start = 0; start < flat.length; start += FIELDS) {
    const [message_id, from_msisdn, to_msisdn, ts, text, created_at, source, type, payload] =
      flat.slice(start, start + FIELDS) as Fields
    const fields = { message_id, from_msisdn, to_msisdn, ts, text, created_at }
    messages.push({ ...fields, source, type, payload, ts_key: instantKey(ts) ?? '' })
  }
  return messages
}

/** All outcomes; an outcome is posted between threads as its index. */
const OUTCOMES: readonly AppendOutcome[] = ['created', 'duplicate', 'conflict']

/** Encodes an outcome as one byte. */
export function encodeOutcome(outcome: AppendOutcome): number {
  return OUTCOMES.indexOf(outcome)
}

/** Decodes the outcomes of a batch. */
export function decodeOutcomes(bytes: Uint8Array): AppendOutcome[] {
  return Array.from(bytes, (byte) => OUTCOMES[byte] as AppendOutcome)
}
