let cachedSecond = Number.NaN
let cachedText = ''

/** Returns `YYYY-MM-DDTHH:MM:SS`; formats only once per second, as every log line has a timestamp. */
function secondOf(now: number): string {
  const second = Math.floor(now / 1000)
  if (second !== cachedSecond) {
    cachedSecond = second
    cachedText = new Date(now).toISOString().slice(0, 19)
  }
  return cachedText
}

/** Returns the current time in UTC, `YYYY-MM-DDTHH:MM:SS.mmmZ`. */
export function timestamp(): string {
  const now = Date.now()
  return `${secondOf(now)}.${String(now % 1000).padStart(3, '0')}Z`
}

/** Returns the current time in UTC, in whole seconds, `YYYY-MM-DDTHH:MM:SSZ`. */
export function timestampInSeconds(): string {
  return `${secondOf(Date.now())}Z`
}
