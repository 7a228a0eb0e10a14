import fastifyCors from '@fastify/cors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

/** Seconds for which a browser may remember what a preflight was answered. */
const MAX_AGE_S = 600

function isPreflight({ method, headers }: FastifyRequest): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
}

/** Lets the pages of these origins read in a browser (the Fetch standard's CORS protocol), and no others. */
async function cors(app: FastifyInstance, { origins }: { origins: readonly string[] }) {
  if (origins.length === 0) return
  const options = {
    origin: [...origins],
    methods: ['GET', 'HEAD'],
    allowedHeaders: ['Authorization', 'X-Request-ID'],
    exposedHeaders: ['Link', 'Retry-After', 'X-Request-ID'],
    maxAge: MAX_AGE_S,
    // Any other OPTIONS is answered as it is without CORS.
    strictPreflight: false,
  }
  // A preflight is answered by the plugin, before a later hook could count it.
  app.addHook('onRequest', (request, reply, done) => {
    if (!isPreflight(request) || !app.rejectOverLimit(request, reply)) done()
  })
  await app.register(fastifyCors, {
    delegator: (request, done) => done(null, { ...options, preflight: isPreflight(request) }),
  })
}

export default fp(cors, { name: 'cors' })
