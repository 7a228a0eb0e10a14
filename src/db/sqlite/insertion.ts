import type { AppendOutcome } from '../message-store.ts'
import { encodeOutcome, type FlatBatch, type MessageRow, unflatten } from './batch.ts'
import type { writeQueries } from './queries/write.ts'
import type { Prepared } from './statement.ts'

/**
 * Prepares the insertion of a batch, within the caller's transaction.
 * The function that it returns assigns each new message the next `seq`, and returns the encoded outcome of each message.
 * SQLite would assign the `seq` of a removed message again if that was the newest one.
 */
export function prepareInsertion(
  query: Prepared<typeof writeQueries>,
): (batch: FlatBatch) => Uint8Array {
  function outcomeOf(message: MessageRow, seq: number, checkErased: boolean): AppendOutcome {
    if (checkErased && query.findErased.get(message)) return 'duplicate'
    if (query.insert.run({ ...message, seq }) === 1) return 'created'
    return query.findDuplicate.get(message) ? 'duplicate' : 'conflict'
  }

  return function insert(batch) {
    const checkErased = query.anyErased.get() !== undefined
    let seq = (query.lastSeq.get()?.seq ?? 0) + 1
    return Uint8Array.from(unflatten(batch), (message) => {
      const outcome = outcomeOf(message, seq, checkErased)
      if (outcome === 'created') seq++
      return encodeOutcome(outcome)
    })
  }
}
