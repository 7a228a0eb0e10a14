import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Only programs ask this route: its answers go without what is for browsers and caches. */
    noBrowser?: true
  }
}

/**
 * What every answer tells browsers and caches: keep nothing, guess no type, show it in no frame, load nothing for it.
 * (OWASP, REST Security Cheat Sheet, "Security Headers".)
 */
export const SECURITY_HEADERS = Object.freeze({
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
})

async function headers(app: FastifyInstance): Promise<void> {
  app.addHook('onRequest', (request, reply, done) => {
    if (!request.routeOptions.config.noBrowser) reply.headers(SECURITY_HEADERS)
    done()
  })
}

export default fp(headers, { name: 'headers' })
