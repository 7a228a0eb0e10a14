import type { Database } from 'better-sqlite3'
import type { indexingQueries } from './queries/indexing.ts'
import { prepareAll } from './statement.ts'

/**
 * Derives the counters and the indexes from messages beyond the watermark and moves it, in one transaction. Doing so
 * for many rows at once is what makes it cheap: keys are sorted, so that pages are met in order, and counted first.
 */
export function prepareIndexing(
  database: Database,
  queries: typeof indexingQueries,
): (limit: number) => number {
  const query = prepareAll(database, queries)

  /** @param limit rows at most. @returns how many it was; fewer than the limit when there are no more. */
  function derive(limit: number): number {
    const step = query.step.get({ limit })
    if (!step || step.messages === 0) return 0
    const senders = query.addSenders.run({ ...step })
    query.countSenders.run({ ...step })
    query.addSenderMessages.run({ ...step })
    query.addDays.run({ ...step })
    query.addMinutes.run({ ...step })
    query.addTrigrams.run({ ...step })
    query.move.run({ ...step, senders })
    return step.messages
  }

  return database.transaction(derive).immediate
}
