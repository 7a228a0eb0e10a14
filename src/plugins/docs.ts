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
  required: true,
  schema: { type: 'string', minLength: 1, maxLength: 128 },
} as const

const RETRY_AFTER = {
  description: 'Seconds after which to try again.',
  required: true,
  schema: { type: 'integer', minimum: 1 },
} as const

const WWW_AUTHENTICATE = {
  description: '`Bearer`, with `error="invalid_token"` where a token was sent (RFC 6750).',
  required: true,
  schema: { type: 'string' },
} as const

/** What every path answers to a request that is not one, before it matters what was asked. */
const BROKEN_REQUESTS = {
  400: 'This is no valid HTTP request, or not complete.',
  408: 'The request took too long to arrive.',
  431: 'The headers are too large.',
}

/** Carries the examples of an operation's responses through the plugin, which drops what is beside a `$ref`. */
const EXAMPLES = 'x-response-examples'

/** The first example of each response that has one, by status. */
function examplesOf(schema: FastifySchema): Record<string, unknown> {
  const responses = Object.entries<TSchema>(Object.assign({}, schema.response))
  return Object.fromEntries(responses.map(([status, { examples }]) => [status, examples?.[0]]))
}

/** Says of every operation what the service as a whole does: the routes' schemas know only their own part. */
function describeCommon(document: OpenAPIV3.Document): OpenAPIV3.Document {
  const schema = { $ref: `#/components/schemas/${Problem.$id}` }
  for (const operations of Object.values(document.paths)) {
    for (const operation of Object.values(operations ?? {})) {
      if (typeof operation !== 'object' || !('responses' in operation)) continue
      const { responses } = operation
      const examples: Record<string, unknown> = Reflect.get(operation, EXAMPLES)
      Reflect.deleteProperty(operation, EXAMPLES)
      for (const [status, description] of Object.entries(BROKEN_REQUESTS)) {
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

/** `/openapi.json`, made from the routes' schemas, and `/docs`, which renders it from files of its own. */
async function docs(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    transform: ({ schema, url }) => ({
      schema: { ...schema, [EXAMPLES]: examplesOf(schema) },
      url,
    }),
    transformObject: (made) =>
      'openapiObject' in made ? describeCommon(made.openapiObject as OpenAPIV3.Document) : {},
    openapi: {
      openapi: '3.1.0',
      info: {
        title: TITLE,
        description: DESCRIPTION,
        version: packageJson.version,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      tags: [
        { name: 'webhook', description: 'Messages in' },
        { name: 'messages', description: 'Messages out' },
        { name: 'operation', description: 'Health and metrics' },
      ],
      // The page offers to authorise wherever there is such a map, even an empty one.
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
    // The base layout has no bar with a logo and an address to explore; the validator's badge is fetched from elsewhere.
    uiConfig: { layout: 'BaseLayout', validatorUrl: null },
    theme: { title: TITLE },
    staticCSP: CONTENT_SECURITY_POLICY,
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
}

export default fp(docs, { name: 'docs', dependencies: ['tokens', 'validation'] })
