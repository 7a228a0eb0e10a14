import { instantKey } from '../../message/instant.ts'
import { MESSAGE_COLUMNS, type StoredMessage } from '../../message/message.ts'
import type { AppendOutcome } from '../message-store.ts'

/** A batch of messages as it crosses to the writing thread: one flat list, which is cloned far faster than objects. */
export type FlatBatch = (string | null)[]

/** The messages, field by field. */
export function flatten(batch: readonly StoredMessage[]): FlatBatch {
  const flat: FlatBatch = []
  for (const message of batch) for (const field of MESSAGE_COLUMNS) flat.push(message[field])
  return flat
}

/** A message of a flat batch, with its sort key: which fields may be null was settled before. */
export type FlatMessage = Record<(typeof MESSAGE_COLUMNS)[number] | 'ts_key', string | null>

/** The messages of a flat batch again. */
export function unflatten(flat: FlatBatch): FlatMessage[] {
  const messages: FlatMessage[] = []
  for (let at = 0; at < flat.length; at += MESSAGE_COLUMNS.length) {
    const [
      message_id = null,
      from_msisdn = null,
      to_msisdn = null,
      ts = null,
      text = null,
      created_at = null,
    ] = flat.slice(at, at + MESSAGE_COLUMNS.length)
    const ts_key = instantKey(ts ?? '') ?? ''
    messages.push({ message_id, from_msisdn, to_msisdn, ts, text, created_at, ts_key })
  }
  return messages
}

/** Every outcome, at the place of the byte that it crosses back as. */
const OUTCOMES: readonly AppendOutcome[] = ['created', 'duplicate', 'conflict']

/** The byte of an outcome. */
export function byteOf(outcome: AppendOutcome): number {
  return OUTCOMES.indexOf(outcome)
}

/** The outcomes of a batch, from their bytes. */
export function readOutcomes(bytes: Uint8Array): AppendOutcome[] {
  return Array.from(bytes, (byte) => OUTCOMES[byte] as AppendOutcome)
}
