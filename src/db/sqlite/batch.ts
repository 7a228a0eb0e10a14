import { MESSAGE_COLUMNS } from '../../message/columns.ts'
import { instantKey } from '../../message/instant.ts'
import type { StoredMessage } from '../../message/message.ts'
import type { AppendOutcome } from '../message-store.ts'

/**
 * The fields of a batch of messages as one flat list.
 * Posting it to a worker is far faster than posting objects.
 */
export type FlatBatch = (string | null)[]

/** The fields of one message in the order of `MESSAGE_COLUMNS`. */
type Fields = [
  message_id: string,
  from_msisdn: string,
  to_msisdn: string,
  ts: string,
  text: string | null,
  created_at: string,
]

/** A message with its sort key, as the writer inserts it. */
export type MessageRow = StoredMessage & { ts_key: string }

/** Returns the fields of all messages, message by message in the order of `MESSAGE_COLUMNS`. */
export function flatten(batch: readonly StoredMessage[]): FlatBatch {
  const flat: FlatBatch = []
  for (const message of batch) for (const field of MESSAGE_COLUMNS) flat.push(message[field])
  return flat
}

/**
 * Returns the messages of a flattened batch with their sort keys.
 * The sort key is empty if `ts` is not an instant.
 */
export function unflatten(flat: FlatBatch): MessageRow[] {
  const messages: MessageRow[] = []
  for (let start = 0; start < flat.length; start += MESSAGE_COLUMNS.length) {
    const [message_id, from_msisdn, to_msisdn, ts, text, created_at] = flat.slice(
      start,
      start + MESSAGE_COLUMNS.length,
    ) as Fields
    const ts_key = instantKey(ts) ?? ''
    messages.push({ message_id, from_msisdn, to_msisdn, ts, text, created_at, ts_key })
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
