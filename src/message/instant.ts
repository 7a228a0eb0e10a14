/** RFC 3339 date and time without the zone; does not check the length of the month. */
const DATE_TIME = String.raw`\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?`
const IN_UTC = new RegExp(`^${DATE_TIME}[Zz]$`)
const WITH_OFFSET = new RegExp(`^${DATE_TIME}([+ -])([01]\\d|2[0-3]):([0-5]\\d)$`)

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

function daysIn(year: number, month: number): number {
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  return month === 2 && leap ? 29 : (DAYS[month - 1] ?? 0)
}

/** Whether the day of an otherwise valid date exists in its month. */
function hasDay(text: string): boolean {
  const day = Number(text.slice(8, 10))
  return day <= 28 || day <= daysIn(Number(text.slice(0, 4)), Number(text.slice(5, 7)))
}

/**
 * Returns the sort key of an RFC 3339 timestamp; undefined if it is invalid.
 * The key is the date and time in UTC without `Z` and without trailing zeros of the fraction (1 to 9 digits): the byte
 * order of keys is the order of instants.
 *
 * Days and hours that do not exist, leap seconds, and years outside 0000 to 9999 in UTC are invalid. The `+` of an
 * offset may be a space, because a query decodes `+` as a space.
 */
export function instantKey(text: string): string | undefined {
  const zone = IN_UTC.test(text) ? undefined : WITH_OFFSET.exec(text)
  if (zone === null || !hasDay(text)) return undefined
  let seconds = `${text.slice(0, 10)}T${text.slice(11, 19)}`
  if (zone) {
    const [, sign, hours, minutes] = zone
    const offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1)
    // Not Date.UTC, which maps the years 0 to 99 to 1900 to 1999.
    const utc = new Date(`${seconds}Z`)
    utc.setUTCMinutes(utc.getUTCMinutes() - offset)
    if (utc.getUTCFullYear() < 0 || utc.getUTCFullYear() > 9999) return undefined
    seconds = utc.toISOString().slice(0, 19)
  }
  const fraction = text.slice(20, zone ? -'+00:00'.length : -'Z'.length).replace(/0+$/, '')
  return fraction ? `${seconds}.${fraction}` : seconds
}

/** Whether a text is a valid `ts`: `YYYY-MM-DDTHH:MM:SS[.1 to 9 digits]Z`, of a day that exists. */
export function isMessageInstant(text: string): boolean {
  return text.endsWith('Z') && text[10] === 'T' && IN_UTC.test(text) && hasDay(text)
}
