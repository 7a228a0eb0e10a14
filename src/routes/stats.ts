import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { jsonResponse } from '../schemas/component.ts'
import { problem } from '../schemas/problem.ts'
import { Stats } from '../schemas/stats.ts'

/** Serves statistics of all messages. */
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
          200: jsonResponse(Stats),
          500: problem('An internal error.', 'internal server error'),
          503: problem(
            'The database is unavailable, or the query timed out.',
            'the database is not available',
          ),
        },
      },
    },
    (request) => app.store.stats(request.signal),
  )
}

export default stats
