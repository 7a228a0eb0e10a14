import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { documentResponse, problem, tooManyRequests } from '../schemas/problem.ts'
import { createSecretComparer } from '../secret-comparer.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Security schemes of the OpenAPI document, by the name of the setting that holds the tokens. */
    securitySchemes: Record<string, { type: 'http'; scheme: 'bearer'; description: string }>
  }
  interface FastifyContextConfig {
    /** Kind of token that the route requires; absent for none. No token is required if none is configured. */
    auth?: keyof Tokens
  }
}

/** Accepted tokens by kind; without tokens, the routes of a kind require none. */
export interface Tokens {
  api: readonly string[]
  metrics: readonly string[]
}

/** Credentials of RFC 6750; the scheme is case-insensitive (RFC 9110, section 11.1). */
const BEARER = /^Bearer +([!-~]+)$/i

/** Creates a function that returns whether an `Authorization` header has one of these tokens. */
export function createTokenVerifier(
  tokens: readonly string[],
): (header: string | undefined) => boolean {
  const isKnown = createSecretComparer(tokens)
  return (header) => {
    const token = header === undefined ? undefined : BEARER.exec(header)?.[1]
    return token !== undefined && isKnown(token)
  }
}

/** Setting and purpose of each kind of token. */
const KINDS = {
  api: { setting: 'API_TOKEN', purpose: 'read messages, statistics and rejected bodies' },
  metrics: { setting: 'METRICS_TOKEN', purpose: 'read the metrics' },
} as const

/** The detail of the 401 of a route that requires a token. */
const TOKEN_REQUIRED = 'a valid bearer token is required'
const unauthorized = problem('The bearer token is missing or invalid.', TOKEN_REQUIRED)

/** Requires one of these tokens on every route that declares this kind, and documents the requirement. */
function protectRoutes(app: FastifyInstance, kind: keyof Tokens, tokens: readonly string[]): void {
  const { setting, purpose } = KINDS[kind]
  const verify = createTokenVerifier(tokens)
  const requireToken: onRequestHookHandler = (request, reply, done) => {
    const { authorization } = request.headers
    if (verify(authorization)) {
      done()
      return
    }
    // No error code for a request without credentials (RFC 6750, section 3.1).
    const challenge = authorization === undefined ? 'Bearer' : 'Bearer error="invalid_token"'
    reply.header('www-authenticate', challenge)
    done(app.failedAttempt(request, reply, TOKEN_REQUIRED))
  }
  app.securitySchemes[setting] = {
    type: 'http',
    scheme: 'bearer',
    description: `A token with permission to ${purpose}.`,
  }
  app.addHook('onRoute', (route) => {
    if (route.config?.auth !== kind) return
    route.onRequest = [...[route.onRequest ?? []].flat(), requireToken]
    documentResponse(route, 401, unauthorized)
    documentResponse(route, 429, tooManyRequests)
    route.schema = { ...route.schema, security: [{ [setting]: [] }] }
  })
}

/** Protects the routes whose tokens are configured, and logs a warning about the others at start. */
async function tokens(app: FastifyInstance, options: Tokens): Promise<void> {
  app.decorate('securitySchemes', {})
  for (const kind of ['api', 'metrics'] as const) {
    const { setting, purpose } = KINDS[kind]
    if (options[kind].length > 0) protectRoutes(app, kind, options[kind])
    else {
      app.addHook('onListen', async () => {
        app.log.warn(`${setting} is not set: anyone who can reach the service may ${purpose}`)
      })
    }
  }
}

export default fp(tokens, { name: 'tokens', dependencies: ['rate-limits'] })
