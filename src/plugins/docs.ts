import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import packageJson from '../../package.json' with { type: 'json' }

const DESCRIPTION = [
  packageJson.description,
  '',
  "Every answer carries `X-Request-ID`, the sender's own where it is up to 128 printable ASCII characters.",
  'Every error is `{"detail": …}`: besides those described, 404 for an unknown path, 405 with `Allow` for another',
  'method, and what is no HTTP. A 503 carries `Retry-After`.',
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

/** `/openapi.json`, made from the routes' schemas, and `/docs`, which renders it from files of its own. */
async function docs(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
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
