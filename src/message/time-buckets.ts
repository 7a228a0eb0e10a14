/** Lengths of the buckets of a timeline. */
export const BUCKET_SIZES = ['minute', 'hour', 'day'] as const

/** Length of a bucket. */
export type BucketSize = (typeof BUCKET_SIZES)[number]

/** Maximum number of buckets of a timeline. */
export const MAX_BUCKETS = 1500

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Milliseconds before the range at which the computation of buckets starts; above a local day. */
const LEAD = 3 * DAY

/** The earliest instant that has a sort key. */
const EARLIEST = Date.parse('0000-01-01T00:00:00Z')

const OFFSET = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/

/** Whether the name of a time zone is known. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/** Returns a function from an instant to the offset of the time zone from UTC, both in milliseconds. */
function offsetsOf(timeZone: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' })
  return (instant) => {
    const [, sign, hours = 0, minutes = 0, seconds = 0] = OFFSET.exec(format.format(instant)) ?? []
    const offset = Number(hours) * HOUR + Number(minutes) * MINUTE + Number(seconds) * SECOND
    return sign === '-' ? -offset : offset
  }
}

/** A span of time in which the offset of a time zone is constant. */
interface Segment {
  start: number
  end: number
  offset: number
}

/**
 * Yields an infinite sequence of segments of at most a day.
 * The offset is read once a day, as no zone changes it twice within a day.
 */
function* segmentsFrom(first: number, offsetAt: (instant: number) => number): Generator<Segment> {
  let offset = offsetAt(first)
  for (let start = first; ; start += DAY) {
    const end = start + DAY
    const next = offsetAt(end)
    if (next === offset) {
      yield { start, end, offset }
      continue
    }
    let [before, change] = [start, end]
    while (change - before > SECOND) {
      const middle = before + Math.floor((change - before) / 2 / SECOND) * SECOND
      if (offsetAt(middle) === offset) before = middle
      else change = middle
    }
    yield { start, end: change, offset }
    yield { start: change, end, offset: next }
    offset = next
  }
}

/**
 * Yields the starts of the local days or hours from an instant on.
 * The first value is the instant itself, which need not be the start of a day or hour.
 */
function* localStarts(size: 'hour' | 'day', timeZone: string, from: number): Generator<number> {
  const unit = size === 'day' ? DAY : HOUR
  let last = Number.NEGATIVE_INFINITY
  let lastDay = Number.NEGATIVE_INFINITY
  let lastOffset: number | undefined
  for (const { start, end, offset } of segmentsFrom(from, offsetsOf(timeZone))) {
    const candidates = offset === lastOffset ? [] : [start]
    const firstFull = Math.ceil((start + offset) / unit) * unit - offset
    for (let at = firstFull; at < end; at += unit) candidates.push(at)
    for (const at of candidates) {
      const day = Math.floor((at + offset) / DAY)
      if (size === 'day' ? day <= lastDay : at <= last) continue
      yield at
      last = at
      lastDay = day
    }
    lastOffset = offset
  }
}

/** Yields the starts of the UTC minutes from the instant on. */
function* minuteStarts(from: number): Generator<number> {
  for (let at = Math.floor(from / MINUTE) * MINUTE; ; at += MINUTE) yield at
}

/**
 * Returns the sort keys of the starts of all buckets that overlap a range of sort keys.
 * - A day begins at the first instant with its date: at midnight, or later if the clock skips midnight.
 * - An hour begins when the minutes of the local clock are zero, and at every change of the offset. An hour that the
 *   clock repeats is a bucket of its own.
 * - Minutes are those of UTC, which are those of every zone whose offset is a whole number of minutes, as all are today.
 * @returns undefined if there are more than `MAX_BUCKETS`.
 */
export function bucketStarts(
  size: BucketSize,
  timeZone: string,
  { since, until }: { since: string; until: string },
): string[] | undefined {
  const secondOf = (key: string) => Date.parse(`${key.slice(0, 19)}Z`)
  const first = secondOf(since)
  // A bucket that begins in the second of `until` overlaps the range only if `until` has a fraction.
  const end = secondOf(until) + (until.length > 19 ? 1 : 0)
  const starts = size === 'minute' ? minuteStarts(first) : localStarts(size, timeZone, first - LEAD)
  const found: number[] = []
  for (const start of starts) {
    if (start >= end) break
    if (start <= first) found.length = 0
    found.push(Math.max(start, EARLIEST))
    if (found.length > MAX_BUCKETS) return undefined
  }
  return found.map((start) => new Date(start).toISOString().slice(0, 19))
}
