let writtenAt = Number.NaN
let written = ''

/** The time now in UTC, `YYYY-MM-DDTHH:MM:SS.mmmZ`; written once for all that happens in a millisecond. */
export function timestamp(): string {
  const now = Date.now()
  if (now !== writtenAt) {
    writtenAt = now
    written = new Date(now).toISOString()
  }
  return written
}
