import rateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { describeAnswer, problem } from '../schemas/problem.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Counts a wrong signature or token against the address that it came from.
     * @returns what to answer it with: a 401 with this detail, or a 429 once the address has sent too many.
     */
    failedAttempt(request: FastifyRequest, reply: FastifyReply, detail: string): Promise<Error>
  }
}

/** How much an address may do in a minute, 0 for any number. */
export interface Limits {
  maxFailuresPerMinute: number
  maxRequestsPerMinute: number
}

const MINUTE_MS = 60_000

/** The longest text of an IPv6 address. A proxy that is believed may name anything else, but not fill the memory. */
const MAX_ADDRESS = 45

/** Whom a request counts against: an IPv4 address, or the /64 that somebody with IPv6 has at the least. */
function addressOf({ ip }: FastifyRequest): string {
  // There is none once the socket is closed.
  return ip === undefined ? '' : normalizeIP(ip.slice(0, MAX_ADDRESS))
}

const TOO_MANY = 'too many requests from this address'

/** The 429 of an address that has sent too many. */
export const tooMany = problem(
  'Too many from this address: try again after `Retry-After` seconds.',
  TOO_MANY,
)

/**
 * Limits for each client address, each for 5,000 of them, those that were heard last. Failures are counted once
 * verification has failed, so that whoever has the right secret or token passes, whoever else is at that address.
 */
async function limits(
  app: FastifyInstance,
  { maxFailuresPerMinute, maxRequestsPerMinute }: Limits,
): Promise<void> {
  await app.register(rateLimit, {
    global: maxRequestsPerMinute > 0,
    max: maxRequestsPerMinute,
    timeWindow: MINUTE_MS,
    keyGenerator: addressOf,
    addHeaders: {
      'x-ratelimit-limit': false,
      'x-ratelimit-remaining': false,
      'x-ratelimit-reset': false,
    },
    addHeadersOnExceeding: {
      'x-ratelimit-limit': false,
      'x-ratelimit-remaining': false,
      'x-ratelimit-reset': false,
    },
    errorResponseBuilder: () => app.httpErrors.tooManyRequests(TOO_MANY),
  })
  if (maxRequestsPerMinute > 0) {
    app.addHook('onRoute', (route) => {
      if (route.config?.rateLimit !== false) describeAnswer(route, 429, tooMany)
    })
  }

  const countFailure = app.createRateLimit({
    max: maxFailuresPerMinute,
    keyGenerator: ({ notes }) => notes.client ?? '',
  })
  app.decorate('failedAttempt', async (request: FastifyRequest, reply: FastifyReply, detail) => {
    request.notes.client = addressOf(request)
    if (maxFailuresPerMinute === 0) return app.httpErrors.unauthorized(detail)
    const count = await countFailure(request)
    if (count.isAllowed || !count.isExceeded) return app.httpErrors.unauthorized(detail)
    reply.header('retry-after', count.ttlInSeconds)
    return app.httpErrors.tooManyRequests('too many failed attempts from this address')
  })
}

export default fp(limits, { name: 'limits', dependencies: ['exchange', '@fastify/sensible'] })
