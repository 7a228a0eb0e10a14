import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FollowQuery } from '../db/live-feed.ts'
import {
  type FeedPage as StoredPage,
  type StaleCursor as StoredStaleCursor,
  StoreUnavailableError,
} from '../db/message-store.ts'
import { InvalidInputError } from '../plugins/errors.ts'
import { jsonResponse, ref } from '../schemas/component.ts'
import {
  FeedPage,
  FeedQuery,
  INVALID_FEED_CURSOR,
  STALE_CURSOR,
  StaleCursor,
} from '../schemas/feed.ts'
import { type FeedCursor, readFeedCursor, writeFeedCursor } from '../schemas/feed-cursor.ts'
import { clamp } from '../schemas/limit.ts'
import { readFilter } from '../schemas/messages.ts'
import { inputProblems, readFailures } from '../schemas/problem.ts'
import { formatPage, type StreamFormat, streamFormatOf } from './feed-stream.ts'
import { messageJson } from './message-formats.ts'
import { sendStream } from './stream.ts'

/** Maximum messages per page, and the number if `limit` is absent. */
const MAX_LIMIT = 1000
const DEFAULT_LIMIT = 100

/** Maximum messages per read of a stream; they stay in memory until the client has received them. */
const STREAM_LIMIT = 100

/** Maximum seconds of `wait`. */
const MAX_WAIT_S = 30

/** Milliseconds beyond `wait` that a filtered read may search for a match. */
const SEARCH_MS = 1000

/** Maximum bytes per write. The HTTP server closes a connection on which no write makes progress. */
const WRITE_BYTES = 64 * 1024

/** Milliseconds without a message after which a stream sends a keep-alive. */
const KEEP_ALIVE_MS = 15_000

/** Schema of `GET /feed`. */
const SCHEMA = {
  tags: ['messages'],
  operationId: 'readFeed',
  summary: 'Read messages in the order in which they were stored',
  querystring: FeedQuery,
  response: {
    200: {
      description: FeedPage.description,
      content: {
        'application/json': { schema: ref(FeedPage) },
        'text/event-stream': {
          schema: Type.String({
            description:
              'Server-sent events without an end: `data` is a message, `id` the cursor after it. `event: reset` takes the place of 410.',
          }),
        },
        'application/x-ndjson': {
          schema: Type.String({
            description:
              'Lines without an end: a message with its `cursor`, an empty line, or `{"reset": cursor}` in place of 410.',
          }),
        },
      },
      examples: FeedPage.examples,
    },
    410: jsonResponse(StaleCursor),
    422: inputProblems({
      loc: ['query', 'cursor'],
      msg: INVALID_FEED_CURSOR,
      type: 'value_error',
    }),
    ...readFailures,
  },
}

/** Returns the error of an invalid cursor. */
function invalidCursor(reason: string): InvalidInputError {
  return new InvalidInputError(['query', 'cursor'], reason, 'value_error')
}

/** Whether a request waits for messages. Runs before validation. */
function isStream(request: FastifyRequest): boolean {
  const { wait } = Object.assign({ wait: undefined }, request.query)
  return streamFormatOf(request) !== undefined || (wait !== undefined && wait !== '0')
}

function sendStale(reply: FastifyReply, oldest: FeedCursor): void {
  reply.code(410).send({ detail: STALE_CURSOR, oldest: writeFeedCursor(oldest) })
}

function sendPage(reply: FastifyReply, { data, next, done }: StoredPage): void {
  const messages = data.map(messageJson).join(',')
  const end = `"next":${JSON.stringify(writeFeedCursor(next))},"done":${done}`
  reply.type('application/json').send(`{"data":[${messages}],${end}}`)
}

function* inWrites(bytes: Buffer): Generator<Buffer, void> {
  for (let start = 0; start < bytes.length; start += WRITE_BYTES) {
    yield bytes.subarray(start, start + WRITE_BYTES)
  }
}

/** Yields the bytes of a stream. Ends if the database becomes unavailable: the client resumes. */
async function* streamBytes(
  { logFields }: FastifyRequest,
  signal: AbortSignal,
  pages: AsyncIterable<StoredPage | StoredStaleCursor>,
  format: StreamFormat,
): AsyncGenerator<string | Buffer, void> {
  yield format.start
  try {
    for await (const page of pages) {
      if ('oldest' in page) yield format.stale(page)
      else if (page.data.length > 0 || page.done) yield* inWrites(formatPage(page, format))
    }
  } catch (error) {
    if (signal.aborted) return
    if (!(error instanceof StoreUnavailableError)) throw error
    logFields.cause = error
  }
}

/** Serves the feed: by page, by long polling, or as a stream. */
const feed: FastifyPluginAsyncTypebox = async (app) => {
  /** Returns the cursor after which a request begins; undefined to begin with the first message. */
  async function startOf(
    { headers, signal }: FastifyRequest,
    { cursor, after }: FeedQuery,
  ): Promise<FeedCursor | undefined> {
    if (cursor !== undefined && after !== undefined) {
      throw invalidCursor('cursor and after cannot be combined')
    }
    // A client of server-sent events repeats the URL when it reconnects.
    const given = headers['last-event-id']?.toString() || cursor
    if (given === undefined) return after && (await app.store.feedEnd(signal))
    const start = readFeedCursor(given)
    if (!start) throw invalidCursor(INVALID_FEED_CURSOR)
    return start
  }

  /** Returns the first page with messages, or the last one read when the wait is over. */
  async function waitForPage(query: FollowQuery, signal: AbortSignal) {
    const { idleMs } = query
    const started = performance.now()
    let last: StoredPage | StoredStaleCursor | undefined
    for await (const page of app.feed.follow(query, signal)) {
      last = page
      if ('oldest' in page || page.data.length > 0) break
      const elapsed = performance.now() - started
      // Timers may be early by a fraction of a millisecond.
      if (elapsed >= idleMs + (page.done ? -1 : SEARCH_MS)) break
    }
    if (!last) throw new Error('the feed ended without a page')
    return last
  }

  app.get(
    '/feed',
    {
      config: { concurrencyClass: 'read', auth: 'api', isStream },
      schema: SCHEMA,
    },
    async (request, reply) => {
      const { query, signal } = request
      const { from, to, source, type, q } = readFilter(query)
      const filter = { from, to, source, type, q }
      const after = await startOf(request, query)
      const format = streamFormatOf(request)
      reply.header('cache-control', 'no-store')
      if (format) {
        const follow = { after, filter, limit: STREAM_LIMIT, idleMs: KEEP_ALIVE_MS }
        // A half-closed connection counts as disconnected, as an idle stream writes too seldom to detect a reset.
        const disconnected = new AbortController()
        const end = () => disconnected.abort()
        const { socket } = request.raw
        socket.once('end', end)
        reply.raw.once('close', () => socket.off('end', end))
        signal.addEventListener('abort', end, { once: true })
        const pages = app.feed.follow(follow, disconnected.signal)
        const bytes = streamBytes(request, disconnected.signal, pages, format)
        sendStream(reply, format.contentType, bytes)
        return reply
      }

      const limit = clamp(query.limit, { default: DEFAULT_LIMIT, min: 1, max: MAX_LIMIT })
      const waitMs = clamp(query.wait, { default: 0, min: 0, max: MAX_WAIT_S }) * 1000
      const page = await waitForPage({ after, filter, limit, idleMs: waitMs }, signal)
      if ('oldest' in page) sendStale(reply, page.oldest)
      else sendPage(reply, page)
      return reply
    },
  )
}

export default feed
