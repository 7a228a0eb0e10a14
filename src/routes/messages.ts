import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { ALL_COLUMNS, DETAIL_COLUMNS } from '../message/columns.ts'
import type { Order } from '../message/filter.ts'
import { DetailedMessage, type NewMessage } from '../message/message.ts'
import { InvalidInputError } from '../plugins/errors.ts'
import { jsonResponse, ref } from '../schemas/component.ts'
import { readCursor, writeCursor } from '../schemas/cursor.ts'
import { clamp } from '../schemas/limit.ts'
import {
  DEFAULT_LIMIT,
  DEFAULT_ORDER,
  FILTER_NAMES,
  MessageParams,
  MessagesPage,
  MessagesQuery,
  readFilter,
} from '../schemas/messages.ts'
import { inputProblems, problem, readFailures } from '../schemas/problem.ts'
import { messageFormatOf, textContent } from './message-formats.ts'

/** Maximum messages per page. */
const MAX_LIMIT = 100

/** Returns the error of an invalid cursor. */
function invalidCursor(reason: string): InvalidInputError {
  return new InvalidInputError(['query', 'cursor'], reason, 'value_error')
}

function parsePayload(payload: string | null): unknown {
  return payload === null ? null : JSON.parse(payload)
}

/** Returns a message of a page with the given details only. */
function withDetails(message: NewMessage, included: string[]): NewMessage {
  const { source, type, payload, ...fields } = message
  return {
    ...fields,
    ...(source !== undefined && included.includes('source') && { source }),
    ...(type !== undefined && included.includes('type') && { type }),
    ...(payload !== undefined && included.includes('payload') && { payload }),
  }
}

/** Returns a message as it is serialised: its payload is not text, but JSON. */
function withParsedPayload({ payload, ...message }: NewMessage) {
  return { ...message, ...(payload !== undefined && { payload: parsePayload(payload) }) }
}

/** Returns the address of the page at a cursor, for `Link`. */
function addressOf(query: MessagesQuery, limit: number, order: Order, cursor: string): string {
  const search = new URLSearchParams({ limit: String(limit), order })
  for (const name of [...FILTER_NAMES, 'include'] as const) {
    const value = query[name]
    if (value !== undefined) search.set(name, value)
  }
  if (query.total === 'none') search.set('total', query.total)
  search.set('cursor', cursor)
  return `/messages?${search}`
}

/** Schema of `GET /messages`. */
const LIST_SCHEMA = {
  tags: ['messages'],
  operationId: 'listMessages',
  summary: 'List messages',
  querystring: MessagesQuery,
  response: {
    200: {
      description: MessagesPage.description,
      content: { 'application/json': { schema: ref(MessagesPage) }, ...textContent },
      examples: MessagesPage.examples,
      headers: {
        Link: Type.String({
          description: 'Address of the next page, with `rel="next"`; absent on the last page.',
        }),
      },
    },
    422: inputProblems({
      loc: ['query', 'limit'],
      msg: 'limit must be an integer',
      type: 'type_error',
    }),
    ...readFailures,
  },
}

/** Schema of `GET /messages/{message_id}`. */
const MESSAGE_SCHEMA = {
  tags: ['messages'],
  operationId: 'getMessage',
  summary: 'Get one message',
  params: MessageParams,
  response: {
    200: jsonResponse(DetailedMessage),
    404: problem('No message has this id.', 'no message has this id'),
    414: problem('The id is too long.', 'a part of the path is too long'),
    422: inputProblems({
      loc: ['path', 'message_id'],
      msg: 'message_id must not contain NUL',
      type: 'value_error',
    }),
    ...readFailures,
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
      const limit = clamp(query.limit, { default: DEFAULT_LIMIT, min: 1, max: MAX_LIMIT })
      const offset = Math.max(query.offset ?? 0, 0)
      const scope = { order, ...readFilter(query) }
      if (query.cursor !== undefined && query.offset !== undefined) {
        throw invalidCursor('cursor and offset cannot be combined')
      }
      const position = query.cursor === undefined ? undefined : readCursor(scope, query.cursor)
      const after =
        position && 'idHash' in position
          ? await app.store.findPosition(position, request.signal)
          : position
      if (query.cursor !== undefined && !after) {
        throw invalidCursor(
          'cursor must be the value of next from a page with the same filters and order',
        )
      }

      const withTotal = query.total !== 'none'
      const included = query.include?.split(',') ?? []
      const page = await app.store.page(
        { ...scope, limit, offset, after, details: included.length > 0, withTotal },
        request.signal,
      )
      const messages = page.data.map((message) => withDetails(message, included))
      const next = page.next && writeCursor(scope, page.next)
      if (next) reply.header('link', `<${addressOf(query, limit, order, next)}>; rel="next"`)
      const format = messageFormatOf(request)
      if (format) {
        const columns = ALL_COLUMNS.filter(
          (name) => included.includes(name) || !DETAIL_COLUMNS.some((detail) => detail === name),
        )
        reply.type(format.contentType)
        return reply.send(format.start(columns) + format.write(messages, columns))
      }
      const data = messages.map(withParsedPayload)
      const total = withTotal ? (page.total ?? null) : null
      return { data, total, limit, offset, ...(next && { next }) }
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
      return { ...message, payload: parsePayload(message.payload) }
    },
  )
}

export default messages
