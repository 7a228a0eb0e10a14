import client from '@prometheus-io/client'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { clientAddress, clientKey, parseAddress, proxyTrust } from '../client-address.ts'
import type { Config } from '../config.ts'
import { RateLimiter } from '../rate-limiter.ts'
import { documentResponse, TOO_MANY_REQUESTS, tooManyRequests } from '../schemas/problem.ts'

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

declare module './request-tracker.ts' {
  interface LogFields {
    /** Address, of IPv6 its /64, that an invalid signature or token came from. */
    client?: string
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

/**
 * Limits for each client address, each for the 5,000 addresses heard last. Failures are counted once verification has
 * failed, so that whoever has the right secret or token passes, whoever else is at that address.
 */
async function rateLimits(
  app: FastifyInstance,
  { trustProxy, maxFailuresPerMinute, maxRequestsPerMinute }: LimitOptions,
): Promise<void> {
  const isTrusted = proxyTrust(trustProxy)
  const clientOf = ({ raw }: FastifyRequest) => keyOf(clientAddress(raw, isTrusted))
  const requests = maxRequestsPerMinute > 0 && new RateLimiter(maxRequestsPerMinute, WINDOW)
  const failures = maxFailuresPerMinute > 0 && new RateLimiter(maxFailuresPerMinute, WINDOW)

  const limited = new client.Counter({
    name: 'http_requests_limited_total',
    help: 'Requests answered 429, by what the address had too many of: requests or failures.',
    labelNames: ['reason'],
    registers: [app.registry],
  })
  for (const reason of ['requests', 'failures']) limited.inc({ reason }, 0)

  const countRequest = (key: string): number | undefined => {
    const seconds = requests ? requests.count(key) : undefined
    if (seconds !== undefined) limited.inc({ reason: 'requests' })
    return seconds
  }
  app.decorate('countUnparsed', (address) => countRequest(keyOf(parseAddress(address ?? ''))))
  app.decorate('rejectOverLimit', (request: FastifyRequest, reply: FastifyReply) => {
    const seconds = countRequest(clientOf(request))
    if (seconds === undefined) return false
    reply.code(429).header('retry-after', seconds).send({ detail: TOO_MANY_REQUESTS })
    return true
  })
  if (requests) {
    app.addHook('onRequest', (request, reply, done) => {
      const exempt = request.routeOptions.config?.rateLimit === false
      if (exempt || !app.rejectOverLimit(request, reply)) done()
    })
    app.addHook('onRoute', (route) => {
      if (route.config?.rateLimit !== false) documentResponse(route, 429, tooManyRequests)
    })
  }

  app.decorate('failedAttempt', (request: FastifyRequest, reply: FastifyReply, detail: string) => {
    const client = clientOf(request)
    request.logFields.client = client
    const seconds = failures ? failures.count(client) : undefined
    if (seconds === undefined) return app.httpErrors.unauthorized(detail)
    limited.inc({ reason: 'failures' })
    reply.header('retry-after', seconds)
    return app.httpErrors.tooManyRequests('too many failed attempts from this address')
  })
}

export default fp(rateLimits, {
  name: 'rate-limits',
  dependencies: ['request-tracker', 'metrics', '@fastify/sensible'],
})
