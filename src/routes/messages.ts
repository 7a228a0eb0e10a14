import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { StoredMessage } from '../message/message.ts'
import { InvalidInputError } from '../plugins/errors.ts'
import { jsonResponse } from '../schemas/component.ts'
import { readCursor, writeCursor } from '../schemas/cursor.ts'
import {
  DEFAULT_LIMIT,
  DEFAULT_ORDER,
  FILTER_NAMES,
  MessageParams,
  MessagesPage,
  MessagesQuery,
  readFilter,
} from '../schemas/messages.ts'
import { inputProblems, problem } from '../schemas/problem.ts'

/** Maximum messages per page. */
const MAX_LIMIT = 100

/** Returns the error of an invalid cursor. */
function invalidCursor(reason: string): InvalidInputError {
  return new InvalidInputError(['query', 'cursor'], reason, 'value_error')
}

/** Error responses of both routes. */
const FAILURES = {
  500: problem('An internal error.', 'internal server error'),
  503: problem(
    'The database is unavailable, or the query timed out.',
    'the database is not available',
  ),
}

/** Schema of `GET /messages`. */
const LIST_SCHEMA = {
  tags: ['messages'],
  operationId: 'listMessages',
  summary: 'List messages',
  querystring: MessagesQuery,
  response: {
    200: jsonResponse(MessagesPage, {
      headers: {
        Link: Type.String({
          description: 'Address of the next page, with `rel="next"`; absent on the last page.',
        }),
      },
    }),
    422: inputProblems({
      loc: ['query', 'limit'],
      msg: 'limit must be an integer',
      type: 'type_error',
    }),
    ...FAILURES,
  },
}

/** Schema of `GET /messages/{message_id}`. */
const MESSAGE_SCHEMA = {
  tags: ['messages'],
  operationId: 'getMessage',
  summary: 'Get one message',
  params: MessageParams,
  response: {
    200: jsonResponse(StoredMessage),
    404: problem('No message has this id.', 'no message has this id'),
    414: problem('The id is too long.', 'a part of the path is too long'),
    422: inputProblems({
      loc: ['path', 'message_id'],
      msg: 'message_id must not contain NUL',
      type: 'value_error',
    }),
    ...FAILURES,
  },
}

/** Serves messages, by page or by id. */
const messages: FastifyPluginAsyncTypebox<{ readTimeoutMs: number }> = async (
  app,
  { readTimeoutMs },
) => {
  app.get(
    '/messages',
    {
      handlerTimeout: readTimeoutMs,
      config: { concurrencyClass: 'read', auth: 'api' },
      schema: LIST_SCHEMA,
    },
    async (request, reply) => {
      const { query } = request
      const { order = DEFAULT_ORDER } = query
      const limit = Math.min(Math.max(query.limit ?? DEFAULT_LIMIT, 1), MAX_LIMIT)
      const offset = Math.max(query.offset ?? 0, 0)
      const scope = { order, ...readFilter(query) }
      if (query.cursor !== undefined && query.offset !== undefined) {
        throw invalidCursor('cursor and offset exclude each other')
      }
      const position = query.cursor === undefined ? undefined : readCursor(scope, query.cursor)
      const after =
        position && 'idHash' in position
          ? await app.store.findPosition(position, request.signal)
          : position
      if (query.cursor !== undefined && !after) {
        throw invalidCursor('cursor must be the next of a page with the same filters and order')
      }

      const page = await app.store.page({ ...scope, limit, offset, after }, request.signal)
      const found = { data: page.data, total: page.total, limit, offset }
      if (!page.next) return found
      const next = writeCursor(scope, page.next)
      const search = new URLSearchParams({ limit: String(limit), order })
      for (const name of FILTER_NAMES) {
        const value = query[name]
        if (value !== undefined) search.set(name, value)
      }
      search.set('cursor', next)
      reply.header('link', `</messages?${search}>; rel="next"`)
      return { ...found, next }
    },
  )

  app.get(
    '/messages/:message_id',
    {
      handlerTimeout: readTimeoutMs,
      config: { concurrencyClass: 'read', auth: 'api' },
      schema: MESSAGE_SCHEMA,
    },
    async ({ params, signal }) => {
      const message = await app.store.message(params.message_id, signal)
      if (!message) throw app.httpErrors.notFound('no message has this id')
      return message
    },
  )
}

export default messages
