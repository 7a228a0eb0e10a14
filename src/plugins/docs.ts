import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { OpenAPIV3 } from 'openapi-types'
import packageJson from '../../package.json' with { type: 'json' }

const DESCRIPTION = [
  packageJson.description,
  '',
  "`X-Request-ID` is the sender's own where it is up to 128 printable ASCII characters.",
  'Every error is `{"detail": …}`: besides those described, 404 for an unknown path, 405 with `Allow` for another',
  'method, and 429 with `Retry-After` where requests are limited.',
].join('\n')

/** The page's own scripts and styles, some of them inside its pictures, and questions to the service it came from. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const REQUEST_ID = {
  description: 'Names the request in the log.',
  schema: { type: 'string', minLength: 1, maxLength: 128 },
} as const

const RETRY_AFTER = {
  description: 'Seconds after which to try again.',
  schema: { type: 'integer', minimum: 1 },
} as const

/** What every path answers to a request that is not one, before it matters what was asked. */
const BROKEN_REQUESTS = {
  400: 'This is no valid HTTP request, or not complete.',
  408: 'The request took too long to arrive.',
  431: 'The headers are too large.',
}

/** Says of every operation what the service as a whole does: the routes' schemas know only their own part. */
function describeCommon(document: OpenAPIV3.Document): OpenAPIV3.Document {
  const problem: OpenAPIV3.SchemaObject = {
    type: 'object',
    required: ['detail'],
    properties: { detail: { type: 'string' } },
  }
  for (const operations of Object.values(document.paths)) {
    for (const operation of Object.values(operations ?? {})) {
      if (typeof operation !== 'object' || !('responses' in operation)) continue
      const { responses } = operation
      for (const [status, description] of Object.entries(BROKEN_REQUESTS)) {
        const example = { detail: description }
        responses[status] ??= {
          description,
          content: { 'application/json': { schema: problem, example } },
        }
      }
      for (const [status, response] of Object.entries(responses)) {
        if ('$ref' in response) continue
        response.headers = { 'X-Request-ID': REQUEST_ID, ...response.headers }
        if (status === '429' || status === '503') response.headers['Retry-After'] = RETRY_AFTER
      }
    }
  }
  return document
}

/** `/openapi.json`, made from the routes' schemas, and `/docs`, which renders it from files of its own. */
async function docs(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    transformObject: (made) =>
      'openapiObject' in made ? describeCommon(made.openapiObject as OpenAPIV3.Document) : {},
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Lyftr Webhook API',
        description: DESCRIPTION,
        version: packageJson.version,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      tags: [
        { name: 'webhook', description: 'Messages in' },
        { name: 'messages', description: 'Messages out' },
        { name: 'operation', description: 'Health and metrics' },
      ],
      components: { securitySchemes: app.securitySchemes },
    },
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    // Without the validator's badge, which is fetched from elsewhere.
    uiConfig: { validatorUrl: null },
    staticCSP: CONTENT_SECURITY_POLICY,
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
}

export default fp(docs, { name: 'docs', dependencies: ['tokens'] })
