import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { clientAddress, clientKey, parseAddress, proxyTrust } from '../client-address.ts'
import type { Config } from '../config.ts'
import { RateLimiter } from '../rate-limiter.ts'
import { describeAnswer, problem } from '../schemas/problem.ts'
import { SECURITY_HEADERS } from './security-headers.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Counts a wrong signature or token against the address that it came from.
     * @returns what to answer it with: a 401 with this detail, or a 429 once the address has sent too many.
     */
    failedAttempt(request: FastifyRequest, reply: FastifyReply, detail: string): Error
    /**
     * Counts a request against its address, and answers it with 429 where the address has sent too many.
     *
     * For what is answered before the hook that does so for every request, or without it.
     * @returns whether it was answered.
     */
    rejectOverLimit(request: FastifyRequest, reply: FastifyReply): boolean
    /**
     * Counts what the HTTP parser rejected against the address of its connection.
     * @returns the seconds to wait where the address has sent too many, else undefined.
     */
    countUnparsed(address: string | undefined): number | undefined
  }
  interface FastifyContextConfig {
    /** Requests for this route are neither limited nor counted. */
    rateLimit?: false
  }
}

/** The settings of the limits. */
type LimitOptions = Pick<Config, 'trustProxy' | 'maxFailuresPerMinute' | 'maxRequestsPerMinute'>

const WINDOW = { windowMs: 60_000, maxKeys: 5000 }

/** The key of requests of which no address is known. */
const UNKNOWN = 'unknown'

/** Returns what an address is counted by. */
function keyOf(address: string | undefined): string {
  return address === undefined ? UNKNOWN : clientKey(address)
}

/** The detail of the 429 of an address that has sent too many requests. */
export const TOO_MANY_REQUESTS = 'too many requests from this address'

/** The 429 of an address that has sent too many. */
export const tooMany = problem(
  'Too many from this address: try again after `Retry-After` seconds.',
  TOO_MANY_REQUESTS,
)

/**
 * Limits for each client address, each for the 5,000 addresses heard last. Failures are counted once verification has
 * failed, so that whoever has the right secret or token passes, whoever else is at that address.
 */
async function limits(
  app: FastifyInstance,
  { trustProxy, maxFailuresPerMinute, maxRequestsPerMinute }: LimitOptions,
): Promise<void> {
  const isTrusted = proxyTrust(trustProxy)
  const clientOf = ({ raw }: FastifyRequest) => keyOf(clientAddress(raw, isTrusted))
  const requests = maxRequestsPerMinute > 0 && new RateLimiter(maxRequestsPerMinute, WINDOW)
  const failures = maxFailuresPerMinute > 0 && new RateLimiter(maxFailuresPerMinute, WINDOW)

  const countRequest = (key: string): number | undefined => {
    const seconds = requests ? requests.count(key) : undefined
    if (seconds !== undefined) app.measures.limited('requests')
    return seconds
  }
  app.decorate('countUnparsed', (address) => countRequest(keyOf(parseAddress(address ?? ''))))
  app.decorate('rejectOverLimit', (request: FastifyRequest, reply: FastifyReply) => {
    const seconds = countRequest(clientOf(request))
    if (seconds === undefined) return false
    // The route's own hooks, which set them, have not run.
    if (!request.routeOptions.config?.skipSecurityHeaders) reply.headers(SECURITY_HEADERS)
    reply.code(429).header('retry-after', seconds).send({ detail: TOO_MANY_REQUESTS })
    return true
  })
  if (requests) {
    app.addHook('onRequest', (request, reply, done) => {
      const exempt = request.routeOptions.config?.rateLimit === false
      if (exempt || !app.rejectOverLimit(request, reply)) done()
    })
    app.addHook('onRoute', (route) => {
      if (route.config?.rateLimit !== false) describeAnswer(route, 429, tooMany)
    })
  }

  app.decorate('failedAttempt', (request: FastifyRequest, reply: FastifyReply, detail: string) => {
    const client = clientOf(request)
    request.logFields.client = client
    const seconds = failures ? failures.count(client) : undefined
    if (seconds === undefined) return app.httpErrors.unauthorized(detail)
    app.measures.limited('failures')
    reply.header('retry-after', seconds)
    return app.httpErrors.tooManyRequests('too many failed attempts from this address')
  })
}

export default fp(limits, {
  name: 'limits',
  dependencies: ['request-tracker', 'headers', 'metrics', '@fastify/sensible'],
})
