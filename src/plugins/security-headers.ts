import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Only programs ask this route: its answers go without what is for browsers and caches. */
    skipSecurityHeaders?: true
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
  const setHeaders: onRequestHookHandler = (_request, reply, done) => {
    reply.headers(SECURITY_HEADERS)
    done()
  }
  // By route, so that those who go without pay nothing.
  app.addHook('onRoute', (route) => {
    if (!route.config?.skipSecurityHeaders)
      route.onRequest = [setHeaders, ...[route.onRequest ?? []].flat()]
  })
}

export default fp(headers, { name: 'headers' })
