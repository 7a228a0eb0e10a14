import type { Database } from 'better-sqlite3'
import type { indexingQueries } from './queries/indexing.ts'
import { prepareAll } from './statement.ts'

/**
 * Prepares the indexing of messages above the watermark.
 * The function that it returns indexes at most `limit` messages in one transaction, moves the watermark, and returns
 * their number, which is less than the limit once none are left.
 *
 * A step of many messages is what makes indexing cheap: counters are summed before they are updated, and keys are
 * inserted in order, so that neighbours share pages.
 */
export function prepareIndexing(
  database: Database,
  queries: typeof indexingQueries,
): (limit: number) => number {
  const query = prepareAll(database, queries)

  function index(limit: number): number {
    const { first, last, messages = 0 } = query.step.get({ limit }) ?? {}
    if (first === undefined || last === undefined || messages === 0) return 0
    const step = { first, last }
    const senders = query.addSenders.run(step)
    query.countSenders.run(step)
    query.addSenderMessages.run(step)
    query.addDays.run(step)
    query.addMinutes.run(step)
    query.addTrigrams.run(step)
    query.moveWatermark.run({ last, messages, senders })
    return messages
  }

  return database.transaction(index).immediate
}
