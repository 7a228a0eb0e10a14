import { METHODS } from 'node:http'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Adds 405 responses for the other methods of each path; to be called after the last route is added. */
    rejectOtherMethods(): void
  }
}

/** Responds with 405 and `Allow` to requests whose path exists, but not for their method. */
async function methodNotAllowed(app: FastifyInstance): Promise<void> {
  const routes = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = routes.get(url) ?? new Set()
    for (const name of [method].flat()) methods.add(name)
    routes.set(url, methods)
  })

  app.decorate('rejectOtherMethods', () => {
    const known = new Set(app.supportedMethods)
    for (const method of METHODS) if (!known.has(method)) app.addHttpMethod(method)

    for (const [url, methods] of [...routes]) {
      const header = [...methods].sort().join(', ')
      const detail = `method not allowed, expected ${header}`
      app.route({
        url,
        method: app.supportedMethods.filter((method) => !methods.has(method)),
        schema: { hide: true },
        // In a hook rather than the handler, so that the body is not read.
        onRequest: (_request, reply) => {
          reply.code(405).header('allow', header).send({ detail })
        },
        handler: () => undefined,
      })
    }
  })
}

export default fp(methodNotAllowed, { name: 'method-not-allowed' })
