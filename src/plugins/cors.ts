import fastifyCors from '@fastify/cors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

/** Seconds for which a browser may cache the response to a preflight request. */
const MAX_AGE_S = 600

function isPreflight({ method, headers }: FastifyRequest): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
}

/**
 * Allows web pages of these origins to read responses (CORS, Fetch standard).
 * Does nothing if the list is empty.
 */
async function cors(app: FastifyInstance, { origins }: { origins: readonly string[] }) {
  if (origins.length === 0) return
  const options = {
    origin: [...origins],
    methods: ['GET', 'HEAD'],
    allowedHeaders: ['Authorization', 'X-Request-ID'],
    exposedHeaders: ['Content-Disposition', 'Link', 'Retry-After', 'X-Request-ID'],
    maxAge: MAX_AGE_S,
    // An OPTIONS request that is not a preflight request is handled as it is without CORS.
    strictPreflight: false,
  }
  // @fastify/cors responds to a preflight request in its own hook, before the hook of rate-limits.
  app.addHook('onRequest', (request, reply, done) => {
    if (!isPreflight(request) || !app.rejectOverLimit(request, reply)) done()
  })
  await app.register(fastifyCors, {
    delegator: (request, done) => done(null, { ...options, preflight: isPreflight(request) }),
  })
}

export default fp(cors, { name: 'cors' })
