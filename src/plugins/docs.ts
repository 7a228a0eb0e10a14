import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { TSchema } from '@sinclair/typebox'
import type { FastifyInstance, FastifySchema } from 'fastify'
import fp from 'fastify-plugin'
import type { OpenAPIV3 } from 'openapi-types'
import packageJson from '../../package.json' with { type: 'json' }
import { Problem } from '../schemas/problem.ts'

const TITLE = 'Lyftr Webhook API'

const DESCRIPTION = [
  packageJson.description,
  '',
  'Responses return the `X-Request-ID` of the request if it is 1 to 128 printable ASCII characters, else a new id.',
  'The body of every error is `{"detail": …}`. In addition to the documented errors, an unknown path returns 404, an',
  'unsupported method 405 with `Allow`, and a request over a rate limit 429 with `Retry-After`.',
].join('\n')

/**
 * Content-Security-Policy of `/docs`.
 * Allows scripts, styles and requests of its own origin, inline styles and `data:` images.
 */
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
  description: 'Id of the request in the log.',
  required: true,
  schema: { type: 'string', minLength: 1, maxLength: 128 },
} as const

const RETRY_AFTER = {
  description: 'Seconds to wait before the next attempt.',
  required: true,
  schema: { type: 'integer', minimum: 1 },
} as const

const WWW_AUTHENTICATE = {
  description: '`Bearer`; with `error="invalid_token"` if a token was sent (RFC 6750).',
  required: true,
  schema: { type: 'string' },
} as const

/** Responses to malformed requests by status; the same for every operation. */
const MALFORMED_REQUESTS = {
  400: 'The request is not valid HTTP, or is incomplete.',
  408: 'The request took too long to arrive.',
  431: 'The headers are too large.',
}

/** Extension that carries the examples of responses; @fastify/swagger drops siblings of a `$ref`. */
const EXAMPLES = 'x-response-examples'

/** Returns the first example of each response that has one, by status. */
function examplesOf(schema: FastifySchema): Record<string, unknown> {
  const responses = Object.entries<TSchema>(Object.assign({}, schema.response))
  return Object.fromEntries(responses.map(([status, { examples }]) => [status, examples?.[0]]))
}

/** Adds the responses and headers of plugins to every operation, and moves the examples into place. */
function completeOperations(document: OpenAPIV3.Document): OpenAPIV3.Document {
  const schema = { $ref: `#/components/schemas/${Problem.$id}` }
  for (const operations of Object.values(document.paths)) {
    for (const operation of Object.values(operations ?? {})) {
      if (typeof operation !== 'object' || !('responses' in operation)) continue
      const { responses } = operation
      const examples: Record<string, unknown> = Reflect.get(operation, EXAMPLES)
      Reflect.deleteProperty(operation, EXAMPLES)
      for (const [status, description] of Object.entries(MALFORMED_REQUESTS)) {
        const example = { detail: description }
        responses[status] ??= {
          description,
          content: { 'application/json': { schema, example } },
        }
      }
      for (const [status, response] of Object.entries(responses)) {
        if ('$ref' in response) continue
        const json = response.content?.['application/json']
        if (json && examples[status]) json.example = examples[status]
        response.headers = { 'X-Request-ID': REQUEST_ID, ...response.headers }
        if (status === '429' || status === '503') response.headers['Retry-After'] = RETRY_AFTER
        if (status === '401' && operation.security) {
          response.headers['WWW-Authenticate'] = WWW_AUTHENTICATE
        }
      }
    }
  }
  return document
}

/** Serves `/openapi.json`, generated from the schemas of the routes, and `/docs`, which renders it. */
async function docs(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    transform: ({ schema, url }) => ({
      schema: { ...schema, [EXAMPLES]: examplesOf(schema) },
      url,
    }),
    transformObject: (document) =>
      'openapiObject' in document
        ? completeOperations(document.openapiObject as OpenAPIV3.Document)
        : {},
    openapi: {
      openapi: '3.1.0',
      info: {
        title: TITLE,
        description: DESCRIPTION,
        version: packageJson.version,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      tags: [
        { name: 'webhook', description: 'Receive messages' },
        { name: 'messages', description: 'Read messages' },
        { name: 'rejected', description: 'Read signed bodies that were rejected' },
        { name: 'operation', description: 'Health and metrics' },
      ],
      // Omitted if empty: Swagger UI shows its Authorize button even for an empty map.
      ...(Object.keys(app.securitySchemes).length > 0 && {
        components: { securitySchemes: app.securitySchemes },
      }),
    },
    refResolver: {
      buildLocalReference: ({ $id }, _baseUri, _fragment, index) => String($id ?? `schema${index}`),
    },
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    // No top bar with a logo and a URL field, and no validator badge, which is fetched from another site.
    uiConfig: { layout: 'BaseLayout', validatorUrl: null },
    theme: { title: TITLE },
    staticCSP: CONTENT_SECURITY_POLICY,
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
}

export default fp(docs, { name: 'docs', dependencies: ['tokens', 'validation'] })
