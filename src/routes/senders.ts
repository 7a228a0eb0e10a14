import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { InvalidInputError } from '../plugins/errors.ts'
import { jsonResponse } from '../schemas/component.ts'
import { clamp } from '../schemas/limit.ts'
import { readFilter } from '../schemas/messages.ts'
import { inputProblems, readFailures } from '../schemas/problem.ts'
import {
  INVALID_SENDER_CURSOR,
  readSenderCursor,
  SendersPage,
  SendersQuery,
  writeSenderCursor,
} from '../schemas/senders.ts'

/** Senders per page if `limit` is absent. */
const DEFAULT_LIMIT = 50

/** Maximum senders per page. */
const MAX_LIMIT = 100

/** Schema of `GET /senders`. */
const SCHEMA = {
  tags: ['messages'],
  operationId: 'listSenders',
  summary: 'List senders',
  querystring: SendersQuery,
  response: {
    200: jsonResponse(SendersPage),
    422: inputProblems({
      loc: ['query', 'cursor'],
      msg: INVALID_SENDER_CURSOR,
      type: 'value_error',
    }),
    ...readFailures,
  },
}

/** Serves the senders with their numbers of messages. */
const senders: FastifyPluginAsyncTypebox<{ readTimeoutMs: number }> = async (
  app,
  { readTimeoutMs },
) => {
  app.get(
    '/senders',
    {
      handlerTimeout: readTimeoutMs,
      config: { concurrencyClass: 'read', auth: 'api' },
      schema: SCHEMA,
    },
    async ({ query, signal }) => {
      const { order = 'count', cursor } = query
      const limit = clamp(query.limit, { default: DEFAULT_LIMIT, min: 1, max: MAX_LIMIT })
      const { from: prefix = '' } = readFilter(query.q === undefined ? {} : { from: query.q })
      const scope = { prefix, order }
      const after = cursor === undefined ? undefined : readSenderCursor(scope, cursor)
      if (cursor !== undefined && !after) {
        throw new InvalidInputError(['query', 'cursor'], INVALID_SENDER_CURSOR, 'value_error')
      }
      const { data, next } = await app.store.senders({ ...scope, limit, after }, signal)
      return { data, ...(next && { next: writeSenderCursor(scope, next) }) }
    },
  )
}

export default senders
