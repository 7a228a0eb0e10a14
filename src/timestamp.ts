let second = Number.NaN
let written = ''

/** The second that it is, `YYYY-MM-DDTHH:MM:SS`; written once for all that happens in it. */
function secondOf(now: number): string {
  const began = Math.floor(now / 1000)
  if (began !== second) {
    second = began
    written = new Date(now).toISOString().slice(0, 19)
  }
  return written
}

/** The time now in UTC, `YYYY-MM-DDTHH:MM:SS.mmmZ`. */
export function timestamp(): string {
  const now = Date.now()
  return `${secondOf(now)}.${String(now % 1000).padStart(3, '0')}Z`
}

/** The time now in UTC, in whole seconds, `YYYY-MM-DDTHH:MM:SSZ`. */
export function timestampInSeconds(): string {
  return `${secondOf(Date.now())}Z`
}
