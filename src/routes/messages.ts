import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { instantKey } from '../db/instant.ts'
import { MessagesPage, MessagesQuery } from '../schemas/messages.ts'
import { inputProblems, problem } from '../schemas/problem.ts'

const MAX_LIMIT = 100

/** Messages out, page by page. */
const messages: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/messages',
    {
      schema: {
        tags: ['messages'],
        summary: 'List messages',
        querystring: MessagesQuery,
        response: {
          200: MessagesPage,
          422: inputProblems({
            loc: ['query', 'limit'],
            msg: 'limit must be an integer',
            type: 'type_error',
          }),
          500: problem('A failure of ours.', 'internal server error'),
          503: problem('The database cannot be read now.', 'the database is not available'),
        },
      },
    },
    ({ query }) =>
      app.store.page({
        limit: Math.min(Math.max(query.limit, 1), MAX_LIMIT),
        offset: Math.max(query.offset, 0),
        // A bare + in a URL means a space, and no phone number starts with one.
        from: query.from?.replace(/^ /, '+'),
        since: query.since === undefined ? undefined : instantKey(query.since),
        q: query.q,
      }),
  )
}

export default messages
