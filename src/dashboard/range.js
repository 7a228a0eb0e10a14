/** Milliseconds of the buckets of the timeline. */
export const BUCKET_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 }

const DAY = BUCKET_MS.day

/** Ranges that end now, by the value of the parameter `range`, in milliseconds. */
export const RANGES = new Map([
  ['1h', BUCKET_MS.hour],
  ['24h', DAY],
  ['7d', 7 * DAY],
  ['30d', 30 * DAY],
  ['1y', 365 * DAY],
])

/** The range if the address has none. */
const DEFAULT_RANGE = '7d'

/** Maximum buckets of a request. */
export const MAX_BUCKETS = 1500

/**
 * Returns the time range of an address: `since` and `until`, or `range` before now.
 * @param {URLSearchParams} query
 * @param {Date} now
 */
export function readRange(query, now) {
  const since = new Date(query.get('since') ?? '')
  const until = new Date(query.get('until') ?? '')
  if (since < until) return { name: '', since, until }
  const wanted = query.get('range') ?? DEFAULT_RANGE
  const name = RANGES.has(wanted) ? wanted : DEFAULT_RANGE
  return { name, since: new Date(now.getTime() - (RANGES.get(name) ?? DAY)), until: now }
}

/**
 * Returns the bucket that shows a range in some hundred bars.
 * @param {{ since: Date, until: Date }} range
 * @returns {keyof typeof BUCKET_MS}
 */
export function bucketOf({ since, until }) {
  const length = until.getTime() - since.getTime()
  if (length <= 12 * BUCKET_MS.hour) return 'minute'
  return length <= 15 * DAY ? 'hour' : 'day'
}

/**
 * Returns a range of another length around the same middle, or beside it.
 * @param {{ since: Date, until: Date }} range
 * @param {number} factor of the length
 * @param {number} shift in lengths
 */
export function changeRange({ since, until }, factor, shift) {
  const length = Math.max(until.getTime() - since.getTime(), BUCKET_MS.minute)
  const middle = since.getTime() + length / 2 + shift * length
  const instant = (/** @type {number} */ sign) =>
    new Date(Math.round((middle + (sign * length * factor) / 2) / 1000) * 1000)
      .toISOString()
      .replace('.000Z', 'Z')
  return { range: undefined, since: instant(-1), until: instant(1) }
}
