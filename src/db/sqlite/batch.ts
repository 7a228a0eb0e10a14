import type { AppendOutcome, NewMessage } from '../store.ts'

/** A batch of messages as it crosses to the writing thread: one flat list, which is cloned far faster than objects. */
export type FlatBatch = (string | null)[]

/** The fields of a message in a flat batch, in their order. */
const FIELDS = ['message_id', 'from_msisdn', 'to_msisdn', 'ts', 'text', 'created_at'] as const

/** The messages, field by field. */
export function flatten(batch: readonly NewMessage[]): FlatBatch {
  const flat: FlatBatch = []
  for (const message of batch) for (const field of FIELDS) flat.push(message[field])
  return flat
}

/** A message as it stands in a flat batch, for each: what is null or not was settled before. */
export type FlatMessage = Record<(typeof FIELDS)[number], string | null>

/** The messages of a flat batch again. */
export function unflatten(flat: FlatBatch): FlatMessage[] {
  const messages: FlatMessage[] = []
  for (let at = 0; at < flat.length; at += FIELDS.length) {
    const [
      message_id = null,
      from_msisdn = null,
      to_msisdn = null,
      ts = null,
      text = null,
      created_at = null,
    ] = flat.slice(at, at + FIELDS.length)
    messages.push({ message_id, from_msisdn, to_msisdn, ts, text, created_at })
  }
  return messages
}

/** The outcomes as they cross back: 1 for a message that was created. */
export function readOutcomes(created: Uint8Array): AppendOutcome[] {
  return Array.from(created, (one) => (one === 1 ? 'created' : 'duplicate'))
}
