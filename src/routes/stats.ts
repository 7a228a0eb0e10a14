import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { answer } from '../schemas/component.ts'
import { problem } from '../schemas/problem.ts'
import { Stats } from '../schemas/stats.ts'

/** Statistics over every message. */
const stats: FastifyPluginAsyncTypebox<{ readTimeoutMs: number }> = async (
  app,
  { readTimeoutMs },
) => {
  app.get(
    '/stats',
    {
      handlerTimeout: readTimeoutMs,
      config: { concurrencyClass: 'read', auth: 'api' },
      schema: {
        tags: ['messages'],
        operationId: 'getStats',
        summary: 'Count messages and senders',
        response: {
          200: answer(Stats),
          500: problem('A failure of ours.', 'internal server error'),
          503: problem('The database cannot be read now.', 'the database is not available'),
        },
      },
    },
    (request) => app.store.stats(request.signal),
  )
}

export default stats
