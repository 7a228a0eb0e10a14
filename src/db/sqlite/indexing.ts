import type { indexingQueries } from './queries/indexing.ts'
import type { SenderRuns } from './sender-runs.ts'
import type { Prepared } from './statement.ts'

/** Indexing functions; each indexes at most `limit` messages and returns their number. */
export interface Indexing {
  /** Adds messages to the trigram index, which may be ahead of the watermark. */
  addTrigrams: (limit: number) => number
  /** Adds messages of the trigram index to the counters and the sender index, and moves the watermark. */
  addCounts: (limit: number) => number
}

/**
 * Prepares the indexing of messages above the watermark, within the caller's transactions.
 * A larger step costs less for each message: counters are summed before they are updated, and keys are inserted in
 * order, so that neighbours share pages. The trigrams are separate, as a transaction with both would take twice as long.
 */
export function prepareIndexing(
  query: Prepared<typeof indexingQueries>,
  runs: SenderRuns,
): Indexing {
  function next(after: number, until: number, limit: number) {
    const { first, last, messages = 0 } = query.next.get({ after, until, limit }) ?? {}
    return { step: { first: first ?? after, last: last ?? after }, messages }
  }

  return {
    addTrigrams(limit) {
      const { trigrams = 0 } = query.progress.get() ?? {}
      const { step, messages } = next(trigrams, Number.MAX_SAFE_INTEGER, limit)
      if (messages === 0) return 0
      query.addTrigrams.run(step)
      query.moveTrigrams.run(step)
      return messages
    },
    addCounts(limit) {
      const { watermark = 0, trigrams = 0 } = query.progress.get() ?? {}
      const { step, messages } = next(watermark, trigrams, limit)
      if (messages === 0) return 0
      const senders = query.addSenders.run(step)
      const run = runs.add()
      query.addSenderEntries.run({ ...step, run })
      query.countSenders.run({ run })
      query.addDays.run(step)
      query.addMinutes.run(step)
      query.moveWatermark.run({ last: step.last, messages, senders })
      return messages
    },
  }
}
