/** A path in the log has at most as many characters. */
const MAX_LENGTH = 512

/** Percent-encoded bytes, and whatever is neither an ASCII letter nor punctuation that paths are built with. */
const REDACTED = /(?:%[0-9a-f]{2}|[^a-z/._-])+/gi

/**
 * Returns the path by which a request is logged, without its query.
 *
 * That is the template of its route, which holds no parameter; where no route matched, the path with everything but
 * letters, `/`, `.`, `-` and `_` replaced by `…`. So no digit of a phone number reaches the log, however it is written.
 */
export function logPath(url: string, route: string | undefined): string {
  if (route !== undefined) return route
  const end = url.search(/[?#]/)
  const path = end < 0 ? url : url.slice(0, end)
  return path.slice(0, MAX_LENGTH).replace(REDACTED, '…')
}
