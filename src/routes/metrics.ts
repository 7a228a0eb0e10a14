import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'

/** Serves the metrics of this process from memory. */
const metrics: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/metrics',
    {
      config: { concurrencyClass: 'probe', auth: 'metrics' },
      schema: {
        tags: ['operation'],
        operationId: 'getMetrics',
        summary: 'Metrics for Prometheus',
        response: {
          200: {
            description: 'Prometheus text exposition format.',
            content: { 'text/plain': { schema: Type.String() } },
          },
        },
      },
    },
    async (_request, reply) =>
      reply.type(app.registry.contentType).send(await app.registry.metrics()),
  )
}

export default metrics
