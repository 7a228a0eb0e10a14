import { DAY_LENGTH, endOf, type KeyRange, MINUTE_LENGTH } from './key-range.ts'

/** The number of messages of a UTC day or minute, named by the prefix of its sort keys. */
export interface BucketCount {
  bucket: string
  count: number
}

/**
 * Point from which the minutes up to a boundary are counted.
 * It is the start or the end of the UTC day, or the previous boundary.
 */
type Anchor = 'start' | 'end' | 'previous'

/** A boundary, relative to its UTC day. */
interface Boundary {
  day: string
  anchor: Anchor
  /** Index of the range of minutes between the anchor and the boundary; undefined if it is empty. */
  minutes: number | undefined
  /** Index of the range of keys from the start of the boundary's minute; undefined if it is empty. */
  keys: number | undefined
}

/** The counts that a timeline is computed from, in the order of the ranges of its plan. */
export interface TimelineParts {
  /** The counters of the days in the range, in order. */
  days: readonly BucketCount[]
  /** The sum of the counters of each range of minutes. */
  minutes: readonly number[]
  /** The number of messages in each range of keys. */
  keys: readonly number[]
}

/** Minutes of a UTC day. */
const DAY_MINUTES = 24 * 60

function minuteOfDay(minute: string): number {
  return Number(minute.slice(11, 13)) * 60 + Number(minute.slice(14, 16))
}

/**
 * The counts to read for a timeline, and their combination.
 * The messages before a boundary are those of the earlier UTC days, those of the earlier minutes of its day, and those
 * of its minute with a lower key. The minutes are counted from the nearest anchor: the start of the day, its end or the
 * previous boundary. So a boundary needs the counters of at most half a day of minutes; midnight at +05:30 needs 330.
 */
export class TimelinePlan {
  /** The range of days whose counters are needed, both inclusive. */
  readonly days: { first: string; last: string }
  /** Ranges of minutes whose counters are summed. */
  readonly minutes: KeyRange[] = []
  /** Ranges of keys within a minute whose messages are counted one by one. */
  readonly keys: KeyRange[] = []
  readonly #boundaries: Boundary[]

  constructor(boundaries: readonly string[]) {
    let previous: string | undefined
    this.#boundaries = boundaries.map((key) => {
      const boundary = this.#boundary(key, previous)
      previous = key
      return boundary
    })
    this.days = {
      first: this.#boundaries[0]?.day ?? '',
      last: this.#boundaries.at(-1)?.day ?? '',
    }
  }

  #boundary(key: string, previous: string | undefined): Boundary {
    const day = key.slice(0, DAY_LENGTH)
    const minute = key.slice(0, MINUTE_LENGTH)
    const at = minuteOfDay(minute)
    let nearest: { anchor: Anchor; distance: number; range: KeyRange } = {
      anchor: 'start',
      distance: at,
      range: { since: day, until: minute },
    }
    if (DAY_MINUTES - at < nearest.distance) {
      const range = { since: minute, until: endOf(day) }
      nearest = { anchor: 'end', distance: DAY_MINUTES - at, range }
    }
    if (previous?.startsWith(day)) {
      const since = previous.slice(0, MINUTE_LENGTH)
      const distance = at - minuteOfDay(since)
      const range = { since, until: minute }
      if (distance < nearest.distance) nearest = { anchor: 'previous', distance, range }
    }
    const { anchor, distance, range } = nearest
    return {
      day,
      anchor,
      minutes: distance === 0 ? undefined : this.minutes.push(range) - 1,
      keys: key === `${minute}:00` ? undefined : this.keys.push({ since: minute, until: key }) - 1,
    }
  }

  /** Returns the number of messages between each boundary and the next. */
  combine({ days, minutes, keys }: TimelineParts): number[] {
    const counts: number[] = []
    let next = 0
    let beforeDay = 0
    let beforeMinute = 0
    let last: number | undefined
    for (const boundary of this.#boundaries) {
      for (let day = days[next]; day && day.bucket < boundary.day; day = days[++next]) {
        beforeDay += day.count
      }
      const ofDay = days[next]?.bucket === boundary.day ? (days[next]?.count ?? 0) : 0
      const sum = boundary.minutes === undefined ? 0 : (minutes[boundary.minutes] ?? 0)
      if (boundary.anchor === 'start') beforeMinute = beforeDay + sum
      else if (boundary.anchor === 'end') beforeMinute = beforeDay + ofDay - sum
      else beforeMinute += sum
      const before = beforeMinute + (boundary.keys === undefined ? 0 : (keys[boundary.keys] ?? 0))
      if (last !== undefined) counts.push(before - last)
      last = before
    }
    return counts
  }
}
