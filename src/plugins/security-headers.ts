import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Omits the security headers from responses of the route; for routes that no browser requests. */
    skipSecurityHeaders?: true
  }
}

/**
 * Security headers of a response.
 * They forbid caching, content sniffing, framing, use by other origins and loading of resources. Source: OWASP, REST
 * Security Cheat Sheet, "Security Headers".
 */
export const SECURITY_HEADERS = Object.freeze({
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
})

/**
 * Sets the security headers of every response.
 * Its hook runs before any hook that may respond. `handleFrameworkError` sets the headers of errors that Fastify raises
 * before it runs hooks.
 */
async function securityHeaders(app: FastifyInstance): Promise<void> {
  app.addHook('onRequest', (request, reply, done) => {
    if (!request.routeOptions.config?.skipSecurityHeaders) reply.headers(SECURITY_HEADERS)
    done()
  })
}

export default fp(securityHeaders, { name: 'security-headers' })
