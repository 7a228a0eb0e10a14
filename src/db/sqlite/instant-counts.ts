import { DAY_LENGTH, endOf, MINUTE_LENGTH } from '../key-range.ts'
import type { Minute } from '../page.ts'
import type { countQueries } from './queries/count.ts'
import type { Prepared } from './statement.ts'

/** A UTC day or minute, as the prefix of its sort keys, and the number of its messages. */
interface Bucket {
  bucket: string
  count: number
}

/** Counts of messages in the order of sort keys. */
export interface InstantCounts {
  /** Returns the number of messages whose key is less than this one. */
  before(key: string): number
  /**
   * Returns the minute of the message with this rank, counted from 0 in the order of keys.
   * @throws RangeError
   */
  minuteOfRank(rank: number): Minute
}

/** Adds the counts of messages above the watermark to those up to it. Returns the buckets in order. */
function merge(indexed: Bucket[], above: Bucket[]): Bucket[] {
  if (above.length === 0) return indexed
  const counts = new Map(indexed.map(({ bucket, count }) => [bucket, count]))
  for (const { bucket, count } of above) counts.set(bucket, (counts.get(bucket) ?? 0) + count)
  return [...counts]
    .map(([bucket, count]) => ({ bucket, count }))
    .sort((a, b) => (a.bucket < b.bucket ? -1 : 1))
}

/**
 * Returns the bucket that contains a rank, and the number of messages in the buckets before it.
 * @throws RangeError
 */
function bucketOfRank(buckets: Bucket[], rank: number): Bucket & { before: number } {
  let before = 0
  for (const { bucket, count } of buckets) {
    if (rank < before + count) return { bucket, count, before }
    before += count
  }
  throw new RangeError(`no message has the rank ${rank}`)
}

/**
 * Prepares counts by instant in a snapshot with a given watermark.
 * They read the counters of days and minutes, so their cost grows with the number of days and with the messages of one
 * minute, not with the number of messages.
 */
export function prepareInstantCounts(
  queries: Prepared<typeof countQueries>,
): (watermark: number) => InstantCounts {
  return (watermark) => ({
    before(key) {
      const day = key.slice(0, DAY_LENGTH)
      const minute = key.slice(0, MINUTE_LENGTH)
      const parts = [
        queries.daysBefore.get({ day }),
        queries.minutesBetween.get({ from: day, before: minute }),
        queries.minuteBeforeKey.get({ minute, key, watermark }),
        queries.aboveBeforeKey.get({ key, watermark }),
      ]
      return parts.reduce((sum, part) => sum + (part?.count ?? 0), 0)
    },

    minuteOfRank(rank) {
      const days = merge(queries.days.all(), queries.aboveByDay.all({ watermark }))
      const day = bucketOfRank(days, rank)
      const range = { day: day.bucket, end: endOf(day.bucket), watermark }
      const minutes = merge(queries.minutesOfDay.all(range), queries.aboveByMinuteOfDay.all(range))
      const minute = bucketOfRank(minutes, rank - day.before)
      return {
        since: minute.bucket,
        until: endOf(minute.bucket),
        before: day.before + minute.before,
        count: minute.count,
      }
    },
  })
}
