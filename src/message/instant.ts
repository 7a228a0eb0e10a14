/** RFC 3339 without its zone: every field within its bounds, but for the length of the month. */
const DATE_TIME = String.raw`\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?`
const IN_UTC = new RegExp(`^${DATE_TIME}[Zz]$`)
const WITH_OFFSET = new RegExp(`^${DATE_TIME}([+ -])([01]\\d|2[0-3]):([0-5]\\d)$`)

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

function daysIn(year: number, month: number): number {
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  return month === 2 && leap ? 29 : (DAYS[month - 1] ?? 0)
}

/** Whether the month of a date that is otherwise right has that day. */
function hasDay(text: string): boolean {
  const day = Number(text.slice(8, 10))
  return day <= 28 || day <= daysIn(Number(text.slice(0, 4)), Number(text.slice(5, 7)))
}

/**
 * The sort key of an RFC 3339 timestamp: its UTC date and time without `Z` and without trailing zeros of the
 * fraction, so that comparing bytes compares instants, whatever the number of digits (1 to 9).
 *
 * The offset's `+` may arrive as a space, as it does from a URL. Undefined for what is no instant (a day or an
 * hour that does not exist, a leap second) or leaves the years 0000 to 9999 in UTC.
 */
export function instantKey(text: string): string | undefined {
  const zone = IN_UTC.test(text) ? undefined : WITH_OFFSET.exec(text)
  if (zone === null || !hasDay(text)) return undefined
  let seconds = `${text.slice(0, 10)}T${text.slice(11, 19)}`
  if (zone) {
    const [, sign, hours, minutes] = zone
    const offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1)
    // Not Date.UTC, which reads the years 0 to 99 as 1900 to 1999.
    const utc = new Date(`${seconds}Z`)
    utc.setUTCMinutes(utc.getUTCMinutes() - offset)
    if (utc.getUTCFullYear() < 0 || utc.getUTCFullYear() > 9999) return undefined
    seconds = utc.toISOString().slice(0, 19)
  }
  const fraction = text.slice(20, zone ? -'+00:00'.length : -'Z'.length).replace(/0+$/, '')
  return fraction ? `${seconds}.${fraction}` : seconds
}

/** Whether a message may carry this timestamp: an instant in the one form `YYYY-MM-DDTHH:MM:SS[.1 to 9 digits]Z`. */
export function isMessageInstant(text: string): boolean {
  return text.endsWith('Z') && text[10] === 'T' && IN_UTC.test(text) && hasDay(text)
}
