import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { errorCodes, type FastifyRequest } from 'fastify'
import type { MessagePage, PageQuery } from '../db/message-store.ts'
import { ALL_COLUMNS } from '../message/columns.ts'
import { DEFAULT_ORDER, ExportQuery, readFilter } from '../schemas/messages.ts'
import { inputProblems, problem, readFailures } from '../schemas/problem.ts'
import { type MessageFormat, messageFormatOf, ndjson, textContent } from './message-formats.ts'
import { sendStream } from './stream.ts'

declare module '../plugins/request-tracker.ts' {
  interface LogFields {
    /** The kind of access that the line records. */
    audit?: 'export'
    /** Number of messages that were exported. */
    messages?: number
  }
}

/** Messages per read. */
const PAGE_LIMIT = 1000

/** Messages per write; other requests are handled between two writes. */
const CHUNK_LIMIT = 100

const UPGRADE_REQUIRED = 'an export requires HTTP/1.1, which shows whether it is complete'

/** Schema of `GET /messages/export`. */
const SCHEMA = {
  tags: ['messages'],
  operationId: 'exportMessages',
  summary: 'Export all messages that match',
  querystring: ExportQuery,
  response: {
    200: {
      description:
        'Every message that matches, existed at the start and is not removed meanwhile, exactly once, with all fields. If an error occurs, the connection is closed before the last chunk.',
      content: textContent,
    },
    422: inputProblems({
      loc: ['query', 'order'],
      msg: 'order must be asc or desc',
      type: 'value_error',
    }),
    426: problem('The request is HTTP/1.0, without chunks.', UPGRADE_REQUIRED),
    ...readFailures,
  },
}

/** Exports all messages that match, as CSV or NDJSON. */
const exportRoute: FastifyPluginAsyncTypebox<{ readTimeoutMs: number }> = async (
  app,
  { readTimeoutMs },
) => {
  /** Reads a page. @throws FastifyError with the status 503 if the read times out. */
  async function readPage(query: PageQuery, { signal }: FastifyRequest): Promise<MessagePage> {
    const timeout = AbortSignal.timeout(readTimeoutMs)
    try {
      return await app.store.page(query, AbortSignal.any([signal, timeout]))
    } catch (error) {
      if (signal.aborted || !timeout.aborted) throw error
      throw new errorCodes.FST_ERR_HANDLER_TIMEOUT(readTimeoutMs, '/messages/export')
    }
  }

  /** Yields all pages. Unless the client has disconnected, an error is logged with status 500. */
  async function* readPages(
    request: FastifyRequest,
    query: PageQuery,
    first: MessagePage,
  ): AsyncGenerator<MessagePage, void> {
    request.logFields.audit = 'export'
    let messages = first.data.length
    request.logFields.messages = messages
    yield first
    try {
      for (let after = first.next; after; ) {
        const page = await readPage({ ...query, after }, request)
        messages += page.data.length
        request.logFields.messages = messages
        yield page
        after = page.next
      }
    } catch (error) {
      if (request.signal.aborted || !(error instanceof Error)) throw error
      request.logFields.cause = error
      app.requestTracker.find(request).rejectedWith = 500
      throw error
    }
  }

  app.get(
    '/messages/export',
    {
      config: { concurrencyClass: 'read', auth: 'api', isStream: () => true },
      schema: SCHEMA,
    },
    async (request, reply) => {
      // Without chunks, a client could not distinguish an incomplete response from a complete one.
      if (request.raw.httpVersion === '1.0') {
        reply.headers({ upgrade: 'HTTP/1.1', connection: 'upgrade, close' })
        throw app.httpErrors.upgradeRequired(UPGRADE_REQUIRED)
      }
      const { order = DEFAULT_ORDER } = request.query
      const filter = readFilter(request.query)
      const query: PageQuery = {
        ...filter,
        order,
        limit: PAGE_LIMIT,
        offset: 0,
        details: true,
        withTotal: false,
      }
      const first = await readPage(query, request)
      const format = messageFormatOf(request) ?? ndjson
      reply.header('content-disposition', `attachment; filename="${format.fileName}"`)
      sendStream(reply, format.contentType, writePages(format, readPages(request, query, first)))
      return reply
    },
  )
}

/** Yields the text of the pages in chunks. */
async function* writePages(
  format: MessageFormat,
  pages: AsyncIterable<MessagePage>,
): AsyncGenerator<string, void> {
  yield format.start(ALL_COLUMNS)
  for await (const { data } of pages) {
    for (let at = 0; at < data.length; at += CHUNK_LIMIT) {
      yield format.write(data.slice(at, at + CHUNK_LIMIT), ALL_COLUMNS)
    }
  }
}

export default exportRoute
