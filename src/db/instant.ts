const INSTANT =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+ -])(\d\d):(\d\d))$/

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

function daysIn(year: number, month: number): number {
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  return month === 2 && leap ? 29 : (DAYS[month - 1] ?? 0)
}

/**
 * The sort key of an RFC 3339 timestamp: its UTC date and time without `Z` and without trailing zeros of the
 * fraction, so that comparing bytes compares instants, whatever the number of digits (1 to 9).
 *
 * The offset's `+` may arrive as a space, as it does from a URL. Undefined for what is no instant (a day or an
 * hour that does not exist, a leap second) or leaves the years 0000 to 9999 in UTC.
 */
export function instantKey(text: string): string | undefined {
  const match = INSTANT.exec(text)
  if (!match) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map(Number)
  if (day < 1 || day > daysIn(year, month)) return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined

  let seconds = `${text.slice(0, 10)}T${text.slice(11, 19)}`
  if (match[8] === undefined) {
    const offsetHours = Number(match[10])
    const offsetMinutes = Number(match[11])
    if (offsetHours > 23 || offsetMinutes > 59) return undefined
    const offset = (offsetHours * 60 + offsetMinutes) * (match[9] === '-' ? -1 : 1)
    // Not Date.UTC, which reads the years 0 to 99 as 1900 to 1999.
    const utc = new Date(`${seconds}Z`)
    utc.setUTCMinutes(utc.getUTCMinutes() - offset)
    if (utc.getUTCFullYear() < 0 || utc.getUTCFullYear() > 9999) return undefined
    seconds = utc.toISOString().slice(0, 19)
  }
  const fraction = match[7]?.replace(/0+$/, '')
  return fraction ? `${seconds}.${fraction}` : seconds
}

/** Whether a message may carry this timestamp: an instant in the one form `YYYY-MM-DDTHH:MM:SS[.1 to 9 digits]Z`. */
export function isMessageInstant(text: string): boolean {
  return text.endsWith('Z') && text[10] === 'T' && instantKey(text) !== undefined
}
