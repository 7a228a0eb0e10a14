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
     * Counts an invalid signature or token against its client address.
     * @param status default: 401
     * @returns the error to respond with: the status and this detail, or 429 if the address is over its limit.
     */
    failedAttempt(
      request: FastifyRequest,
      reply: FastifyReply,
      detail: string,
      status?: 401 | 403,
    ): Error
    /**
     * Counts a request against its client address, and responds with 429 if the address is over its limit.
     * A hook does so for every request. Only code that responds before that hook needs to call this.
     * @returns true if it has responded.
     */
    rejectOverLimit(request: FastifyRequest, reply: FastifyReply): boolean
    /**
     * Counts input that the HTTP parser rejected against the remote address of its connection.
     * @returns the seconds to wait if the address is over its limit, else undefined.
     */
    countUnparsed(address: string | undefined): number | undefined
  }
  interface FastifyContextConfig {
    /** Exempts the route from the limit on requests. */
    rateLimit?: false
  }
}

declare module './request-tracker.ts' {
  interface LogFields {
    /** Client address (IPv6: its /64 prefix) of an invalid signature or token. */
    client?: string
  }
}

/** Settings of the limits. */
type LimitOptions = Pick<Config, 'trustProxy' | 'maxFailuresPerMinute' | 'maxRequestsPerMinute'>

/** Length of a window, and maximum number of tracked addresses. */
const WINDOW = { windowMs: 60_000, maxKeys: 5000 }

/** Key of requests without a known address. */
const UNKNOWN = 'unknown'

/** Returns the key that an address is counted by. */
function keyOf(address: string | undefined): string {
  return address === undefined ? UNKNOWN : clientKey(address)
}

/**
 * Limits requests and failed authentication attempts by client address.
 * Failures are counted only after verification has failed. So clients with a valid secret or token pass even if others
 * at their address are over the limit.
 */
async function rateLimits(
  app: FastifyInstance,
  { trustProxy, maxFailuresPerMinute, maxRequestsPerMinute }: LimitOptions,
): Promise<void> {
  const isTrusted = proxyTrust(trustProxy)
  const clientKeyOf = ({ raw }: FastifyRequest) => keyOf(clientAddress(raw, isTrusted))
  const requests = maxRequestsPerMinute > 0 && new RateLimiter(maxRequestsPerMinute, WINDOW)
  const failures = maxFailuresPerMinute > 0 && new RateLimiter(maxFailuresPerMinute, WINDOW)

  const limited = new client.Counter({
    name: 'http_requests_limited_total',
    help: 'Requests rejected with 429, by the limit that the address exceeded: requests or failures.',
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
    const seconds = countRequest(clientKeyOf(request))
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

  app.decorate('failedAttempt', (request, reply, detail, status = 401) => {
    const key = clientKeyOf(request)
    request.logFields.client = key
    const seconds = failures ? failures.count(key) : undefined
    if (seconds === undefined) return app.httpErrors.createError(status, detail)
    limited.inc({ reason: 'failures' })
    reply.header('retry-after', seconds)
    return app.httpErrors.tooManyRequests('too many failed attempts from this address')
  })
}

export default fp(rateLimits, {
  name: 'rate-limits',
  dependencies: ['request-tracker', 'metrics', '@fastify/sensible'],
})
