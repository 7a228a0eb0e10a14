import type { TimelineQuery } from '../message-store.ts'
import { TimelinePlan } from '../timeline.ts'
import type { countQueries } from './queries/count.ts'
import type { timelineQueries } from './queries/timeline.ts'
import type { Prepared } from './statement.ts'

/** Returns the index of the bucket that contains the key, by binary search. */
function bucketIndex(boundaries: readonly string[], key: string): number {
  let [low, high] = [0, boundaries.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((boundaries[middle] ?? '') <= key) low = middle + 1
    else high = middle
  }
  return low - 1
}

/**
 * Prepares timelines. The function that it returns must run within a read transaction.
 * Without a sender, messages are counted by the counters of days and minutes; with one, by the sender index.
 * @param throwIfCancelled called between statements.
 */
export function prepareTimeline(
  count: Prepared<typeof countQueries>,
  queries: Prepared<typeof timelineQueries>,
  throwIfCancelled: () => void,
): (query: TimelineQuery) => number[] {
  function each<Item, Result>(items: readonly Item[], read: (item: Item) => Result): Result[] {
    return items.map((item) => {
      throwIfCancelled()
      return read(item)
    })
  }

  function ofAll(boundaries: readonly string[], watermark: number): number[] {
    const plan = new TimelinePlan(boundaries)
    return plan.combine({
      days: queries.days.all(plan.days),
      minutes: each(
        plan.minutes,
        ({ since, until }) => count.minutesBetween.get({ from: since, before: until })?.count ?? 0,
      ),
      keys: each(
        plan.keys,
        ({ since, until }) =>
          count.minuteBeforeKey.get({ minute: since, key: until, watermark })?.count ?? 0,
      ),
    })
  }

  function ofSender(boundaries: readonly string[], from: string): number[] {
    const { id: sender = 0 } = count.sender.get({ from }) ?? {}
    let since = boundaries[0] ?? ''
    return each(boundaries.slice(1), (until) => {
      const found = queries.ofSender.get({ sender, since, until })
      since = until
      return found?.count ?? 0
    })
  }

  return function timeline({ boundaries, from }) {
    const { seq: watermark = 0 } = count.watermark.get() ?? {}
    const counts = from === undefined ? ofAll(boundaries, watermark) : ofSender(boundaries, from)
    const range = { since: boundaries[0] ?? '', until: boundaries.at(-1) ?? '', watermark }
    const above =
      from === undefined
        ? queries.above.iterate(range)
        : queries.aboveOfSender.iterate({ ...range, from })
    for (const { ts_key } of above) {
      const index = bucketIndex(boundaries, ts_key)
      counts[index] = (counts[index] ?? 0) + 1
    }
    return counts
  }
}
