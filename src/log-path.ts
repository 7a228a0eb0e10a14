/** Maximum length of a path in the log, in characters. */
const MAX_LENGTH = 512

/** Percent-encoded bytes, and everything but ASCII letters, `.`, `/`, `_` and `-`. */
const REDACTED = /(?:%[0-9a-f]{2}|[^a-z/._-])+/gi

/**
 * Returns the path to log for a request, without its query.
 * If a route matched, this is its template, without values of parameters. Otherwise it is the path with everything but
 * ASCII letters, `.`, `/`, `_` and `-` replaced by `…`, so that no phone number is logged in any encoding.
 * @param route template of the matched route.
 */
export function logPath(url: string, route: string | undefined): string {
  if (route !== undefined) return route
  const end = url.search(/[?#]/)
  const path = end < 0 ? url : url.slice(0, end)
  return path.slice(0, MAX_LENGTH).replace(REDACTED, '…')
}
