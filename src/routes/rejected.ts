import { isUtf8 } from 'node:buffer'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { jsonResponse } from '../schemas/component.ts'
import { clamp } from '../schemas/limit.ts'
import { inputProblems, problem, readFailures } from '../schemas/problem.ts'
import {
  DEFAULT_LIMIT,
  DetailedRejectedBody,
  RejectedBodiesPage,
  RejectedBodiesQuery,
  RejectedBodyParams,
} from '../schemas/rejected.ts'

/** Maximum bodies per page. */
const MAX_LIMIT = 100

/** An id, below the largest safe integer. */
const ID = /^[1-9][0-9]{0,14}$/

/** Schema of `GET /rejected`. */
const LIST_SCHEMA = {
  tags: ['rejected'],
  operationId: 'listRejectedBodies',
  summary: 'List signed bodies that were rejected',
  querystring: RejectedBodiesQuery,
  response: {
    200: jsonResponse(RejectedBodiesPage),
    422: inputProblems({
      loc: ['query', 'limit'],
      msg: 'limit must be an integer',
      type: 'type_error',
    }),
    ...readFailures,
  },
}

/** Schema of `GET /rejected/{id}`. */
const BODY_SCHEMA = {
  tags: ['rejected'],
  operationId: 'getRejectedBody',
  summary: 'Get one rejected body with its content',
  params: RejectedBodyParams,
  response: {
    200: jsonResponse(DetailedRejectedBody),
    404: problem('No rejected body has this id.', 'no rejected body has this id'),
    414: problem('The id is too long.', 'a part of the path is too long'),
    ...readFailures,
  },
}

/** Serves the bodies that were rejected although their signature is valid. */
const rejected: FastifyPluginAsyncTypebox<{ readTimeoutMs: number }> = async (
  app,
  { readTimeoutMs },
) => {
  const { rejected } = app.store

  app.get(
    '/rejected',
    {
      handlerTimeout: readTimeoutMs,
      config: { concurrencyClass: 'read', auth: 'api' },
      schema: LIST_SCHEMA,
    },
    async ({ query, signal }) => {
      const limit = clamp(query.limit, { default: DEFAULT_LIMIT, min: 1, max: MAX_LIMIT })
      // The extra body signals a next page.
      const bodies = await rejected.list({ before: query.before, limit: limit + 1 }, signal)
      const data = bodies.slice(0, limit)
      const last = data.at(-1)
      return bodies.length > limit && last ? { data, next: last.id } : { data }
    },
  )

  app.get(
    '/rejected/:id',
    {
      handlerTimeout: readTimeoutMs,
      config: { concurrencyClass: 'read', auth: 'api' },
      schema: BODY_SCHEMA,
    },
    async ({ params, signal }) => {
      const found = ID.test(params.id) ? await rejected.find(Number(params.id), signal) : undefined
      if (!found) throw app.httpErrors.notFound('no rejected body has this id')
      const bytes = Buffer.from(found.body)
      return {
        ...found,
        body: isUtf8(bytes) ? bytes.toString() : null,
        body_base64: bytes.toString('base64'),
      }
    },
  )
}

export default rejected
