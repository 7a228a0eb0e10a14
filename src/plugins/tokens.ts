import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { documentResponse, problem, tooManyRequests } from '../schemas/problem.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** What OpenAPI is to know of the tokens that are wanted here. */
    securitySchemes: Record<string, { type: 'http'; scheme: 'bearer'; description: string }>
  }
  interface FastifyContextConfig {
    /** Whose tokens open this route; everybody may ask it where there are none. */
    auth?: keyof Tokens
  }
}

/** The tokens that open routes, none where everybody may ask. */
export interface Tokens {
  api: readonly string[]
  metrics: readonly string[]
}

/** The credentials of RFC 6750; the scheme's case does not matter (RFC 9110, section 11.1). */
const BEARER = /^Bearer +([!-~]+)$/i

/** Whether the value of an `Authorization` header bears one of these tokens, compared in constant time. */
export function createTokenVerifier(
  tokens: readonly string[],
): (header: string | undefined) => boolean {
  // Of digests all have one length, and where they differ tells nothing of the tokens.
  const digest = (token: string) => hash('sha256', token, 'buffer')
  const known = tokens.map(digest)
  return (header) => {
    const token = header === undefined ? undefined : BEARER.exec(header)?.[1]
    if (token === undefined) return false
    const given = digest(token)
    return known.some((one) => timingSafeEqual(one, given))
  }
}

/** For each kind of tokens: its setting, and what it is for. */
const KINDS = {
  api: { setting: 'API_TOKEN', purpose: 'read messages and statistics' },
  metrics: { setting: 'METRICS_TOKEN', purpose: 'read the metrics' },
} as const

const DETAIL = 'this needs a valid bearer token'
const unauthorized = problem('The bearer token is missing or wrong.', DETAIL)

/** Closes routes to whoever bears none of these tokens. */
function closeRoutes(app: FastifyInstance, kind: keyof Tokens, tokens: readonly string[]): void {
  const { setting, purpose } = KINDS[kind]
  const verify = createTokenVerifier(tokens)
  const refuseStrangers: onRequestHookHandler = (request, reply, done) => {
    const { authorization } = request.headers
    if (verify(authorization)) {
      done()
      return
    }
    // RFC 6750, section 3.1: no error code where there were no credentials.
    const challenge = authorization === undefined ? 'Bearer' : 'Bearer error="invalid_token"'
    reply.header('www-authenticate', challenge)
    done(app.failedAttempt(request, reply, DETAIL))
  }
  app.securitySchemes[setting] = {
    type: 'http',
    scheme: 'bearer',
    description: `A token that may ${purpose}.`,
  }
  app.addHook('onRoute', (route) => {
    if (route.config?.auth !== kind) return
    route.onRequest = [...[route.onRequest ?? []].flat(), refuseStrangers]
    documentResponse(route, 401, unauthorized)
    documentResponse(route, 429, tooManyRequests)
    route.schema = { ...route.schema, security: [{ [setting]: [] }] }
  })
}

/** Closes the routes that there are tokens for, and says once of the others that they are open. */
async function tokens(app: FastifyInstance, options: Tokens): Promise<void> {
  app.decorate('securitySchemes', {})
  for (const kind of ['api', 'metrics'] as const) {
    const { setting, purpose } = KINDS[kind]
    if (options[kind].length > 0) closeRoutes(app, kind, options[kind])
    else {
      app.addHook('onListen', async () => {
        app.log.warn(`${setting} is not set: whoever reaches the service may ${purpose}`)
      })
    }
  }
}

export default fp(tokens, { name: 'tokens', dependencies: ['rate-limits'] })
