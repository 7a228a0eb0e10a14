import { DAY_LENGTH, endOf, MINUTE_LENGTH } from '../key-range.ts'
import type { Minute } from '../page.ts'
import type { countQueries } from './queries/count.ts'
import type { ParameterValues, Prepared, PreparedStatement } from './statement.ts'

interface Bucket {
  bucket: string
  count: number
}

/** Answers how many messages lie before an instant, and which instant a number of messages lies before. */
export interface InstantCounts {
  /** Messages whose key is before this one. */
  before(key: string): number
  /** The minute that holds the message of this rank in the order of keys, and how many messages lie before it. */
  minuteOfRank(rank: number): Minute
}

/**
 * Counts by instant in a snapshot with this watermark, from days and minutes rather than messages: what it costs
 * grows with the days there are and with the messages of one minute, not with the messages there are.
 */
export function prepareInstantCounts(
  q: Prepared<typeof countQueries>,
): (watermark: number) => InstantCounts {
  const sum = (
    statement: PreparedStatement<{ count: number | null }>,
    values: ParameterValues,
  ): number => statement.get(values)?.count ?? 0

  /** The buckets up to the watermark and beyond it as one, in order. */
  function merge(counted: Bucket[], beyond: Bucket[]): Bucket[] {
    if (beyond.length === 0) return counted
    const counts = new Map(counted.map(({ bucket, count }) => [bucket, count]))
    for (const { bucket, count } of beyond) counts.set(bucket, (counts.get(bucket) ?? 0) + count)
    return [...counts]
      .map(([bucket, count]) => ({ bucket, count }))
      .sort((a, b) => (a.bucket < b.bucket ? -1 : 1))
  }

  function find(buckets: Bucket[], rank: number): Bucket & { before: number } {
    let before = 0
    for (const { bucket, count } of buckets) {
      if (rank < before + count) return { bucket, count, before }
      before += count
    }
    throw new RangeError(`no message has the rank ${rank}`)
  }

  return (watermark) => ({
    before(key) {
      const day = key.slice(0, DAY_LENGTH)
      const minute = key.slice(0, MINUTE_LENGTH)
      return (
        sum(q.daysBefore, { day }) +
        sum(q.minutesBetween, { from: day, before: minute }) +
        sum(q.minuteBefore, { minute, key, watermark }) +
        sum(q.beyondBefore, { key, watermark })
      )
    },

    minuteOfRank(rank) {
      const day = find(merge(q.days.all(), q.beyondDays.all({ watermark })), rank)
      const range = { day: day.bucket, end: endOf(day.bucket), watermark }
      const minutes = merge(q.minutesOfDay.all(range), q.beyondMinutesOfDay.all(range))
      const minute = find(minutes, rank - day.before)
      return {
        since: minute.bucket,
        until: endOf(minute.bucket),
        before: day.before + minute.before,
        count: minute.count,
      }
    },
  })
}
