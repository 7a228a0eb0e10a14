import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from 'node:http'
import { request as secureRequest, Agent as TlsAgent } from 'node:https'
import { text } from 'node:stream/consumers'
import type { SignedPost } from '../sources/source.ts'

/** Maximum connections, all of which are kept alive. */
export const CONNECTIONS = 16

// Not fetch, which does not limit connections: after a response it may open another before it reuses the idle one.
const AGENT_OPTIONS = { keepAlive: true, maxSockets: CONNECTIONS }
const plainAgent = new PlainAgent(AGENT_OPTIONS)
const tlsAgent = new TlsAgent(AGENT_OPTIONS)

/** Milliseconds to wait for a response; above every time limit of the service. */
const RESPONSE_TIMEOUT_MS = 30_000

/** Milliseconds to wait before the retry of a request whose connection was closed without a response. */
const RECONNECT_DELAY_MS = 1000

/** Maximum milliseconds to wait for `Retry-After`; timers are limited to 24 days. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000

/** Reasons why a service cannot be reached, by error code. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection closed without a response',
  EPIPE: 'connection closed without a response',
  ENOTFOUND: 'host not found',
  EAI_AGAIN: 'host not found',
  ETIMEDOUT: 'connection timed out',
}

/**
 * Error codes of a connection that was closed without a response.
 * They occur if the service closes an idle connection just as a request is sent.
 */
const CLOSED = ['ECONNRESET', 'EPIPE']

/** The service cannot be reached, or does not respond. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError'
  /** Milliseconds to wait before a retry; undefined if a retry would fail in the same way. */
  readonly retryAfterMs: number | undefined

  constructor(origin: string, error: unknown) {
    const cause = error instanceof Error ? (error.cause ?? error) : error
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    const message = cause instanceof Error ? cause.message : String(cause)
    const isTimeout = cause instanceof Error && cause.name === 'TimeoutError'
    const timeout = `no response within ${RESPONSE_TIMEOUT_MS / 1000} s`
    const reason = isTimeout ? timeout : (REASONS[code] ?? message)
    super(`cannot reach ${origin}: ${reason}`, { cause: error })
    this.retryAfterMs = CLOSED.includes(code) ? RECONNECT_DELAY_MS : undefined
  }
}

/** A response to a post. */
export interface PostResponse {
  status: number
  body: string
  /** Response time in milliseconds. */
  ms: number
  /** Milliseconds to wait before a retry: `Retry-After` of a 429 or 503, otherwise undefined. */
  retryAfterMs: number | undefined
}

/** Returns the milliseconds of `Retry-After`, given in seconds or as a date; undefined if invalid. */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS)
}

/** Sends a request, and resolves when the headers of the response have arrived. */
function startPost(origin: string, { path, headers, body }: SignedPost): Promise<IncomingMessage> {
  const [request, agent] = origin.startsWith('https:')
    ? [secureRequest, tlsAgent]
    : [plainRequest, plainAgent]
  const signal = AbortSignal.timeout(RESPONSE_TIMEOUT_MS)
  return new Promise((resolve, reject) => {
    request(origin + path, { method: 'POST', headers: { ...headers }, agent, signal })
      .on('response', resolve)
      .on('error', reject)
      // A Buffer: with a string body Node would send the headers as UTF-8, too.
      .end(Buffer.from(body))
  })
}

/** Sends a post and returns the response. @throws UnreachableError if there is none. */
export async function sendPost(origin: string, post: SignedPost): Promise<PostResponse> {
  const start = performance.now()
  try {
    const response = await startPost(origin, post)
    const body = await text(response)
    const status = response.statusCode ?? 0
    const isRetryable = status === 429 || status === 503
    const retryAfter = response.headers['retry-after']
    return {
      status,
      body,
      ms: performance.now() - start,
      retryAfterMs: isRetryable ? parseRetryAfter(retryAfter) : undefined,
    }
  } catch (error) {
    throw new UnreachableError(origin, error)
  }
}
