import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Responses of the route get no security headers: no browser or cache uses it. */
    skipSecurityHeaders?: true
  }
}

/**
 * Security headers of a response: not to be cached, sniffed, framed or read by other origins, and nothing is loaded.
 * Source: OWASP, REST Security Cheat Sheet, "Security Headers".
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
 * Sets the security headers of every response, in a hook that runs before any that may respond. Errors that Fastify
 * raises before it runs hooks set them themselves.
 */
async function securityHeaders(app: FastifyInstance): Promise<void> {
  app.addHook('onRequest', (request, reply, done) => {
    if (!request.routeOptions.config?.skipSecurityHeaders) reply.headers(SECURITY_HEADERS)
    done()
  })
}

export default fp(securityHeaders, { name: 'security-headers' })
