import { DAY_LENGTH, MINUTE_LENGTH } from './derive.ts'
import type { countQueries } from './queries/count.ts'
import type { Prepared, PreparedStatement, SlotValues } from './statement.ts'

/** Before every key, also before the empty one of a message without an instant. */
export const FIRST_KEY = ''
/** Before every key of an instant, and after the empty one: keys begin with a digit. */
export const FIRST_INSTANT = '0'
/** After every key. */
export const AFTER_ALL = '~'

interface Bucket {
  bucket: string
  count: number
}

/** The first key after all that begin with the bucket's name: what follows there is one of `:`, `T` and the end. */
function endOf(bucket: string): string {
  return bucket === '' ? FIRST_INSTANT : `${bucket}~`
}

/** Answers how many messages lie before an instant, and which instant a number of messages lies before. */
export interface InstantCounts {
  /** Messages whose key is before this one. */
  before(key: string): number
  /** The minute that holds the message of this rank in the order of keys, and how many messages lie before it. */
  minuteOfRank(rank: number): { start: string; end: string; before: number; count: number }
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
    values: SlotValues,
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
        start: minute.bucket,
        end: endOf(minute.bucket),
        before: day.before + minute.before,
        count: minute.count,
      }
    },
  })
}
