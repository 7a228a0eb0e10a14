import type { FastifyRequest } from 'fastify'
import type { FeedMessage, FeedPage, StaleCursor } from '../db/message-store.ts'
import { digestOf, writeFeedCursor } from '../schemas/feed-cursor.ts'
import { JSON_TYPE, messageJson } from './message-formats.ts'

/** Milliseconds after which a client of server-sent events reconnects. */
const RETRY_MS = 3000

/** A format of the stream. */
export interface StreamFormat {
  contentType: string
  /** Sent at once, so that the client gets the headers. */
  start: string
  /** Returns the text of a page; of an empty one, text that keeps the connection open. */
  page(page: FeedPage): string
  /** Returns the text of the end of a stream whose cursor is stale. */
  stale(stale: StaleCursor): string
}

/**
 * Returns the texts of all messages of a page, one after the other.
 * `write` is called with a message and the cursor after it; for the last one that is the end of the page.
 */
function joinMessages(
  { data, next }: FeedPage,
  write: (message: FeedMessage, cursor: string) => string,
): string {
  const texts = data.map((message, index) => {
    const { position, message_id } = message
    const isLast = index === data.length - 1
    const cursor = isLast ? next : { position, digest: digestOf(message_id) }
    return write(message, writeFeedCursor(cursor))
  })
  return texts.join('')
}

/** Server-sent events. https://html.spec.whatwg.org/multipage/server-sent-events.html */
const events: StreamFormat = {
  contentType: 'text/event-stream; charset=utf-8',
  start: `retry: ${RETRY_MS}\n\n`,
  page(page) {
    if (page.data.length === 0) return `: keep-alive\nid: ${writeFeedCursor(page.next)}\n\n`
    return joinMessages(
      page,
      (message, cursor) => `id: ${cursor}\ndata: ${messageJson(message)}\n\n`,
    )
  },
  stale({ oldest }) {
    const id = writeFeedCursor(oldest)
    return `event: reset\nid: ${id}\ndata: ${JSON.stringify({ oldest: id })}\n\n`
  },
}

/** NDJSON: a message with its `cursor` per line. An empty line keeps the connection open. */
const lines: StreamFormat = {
  contentType: 'application/x-ndjson; charset=utf-8',
  start: '',
  page(page) {
    if (page.data.length === 0) return '\n'
    return joinMessages(
      page,
      (message, cursor) => `${messageJson(message).slice(0, -1)},"cursor":"${cursor}"}\n`,
    )
  },
  stale: ({ oldest }) => `${JSON.stringify({ reset: writeFeedCursor(oldest) })}\n`,
}

/** Returns the format that a request prefers; undefined for JSON and for other media types. */
export function streamFormatOf(request: FastifyRequest): StreamFormat | undefined {
  const type = request.accepts().type([JSON_TYPE, events.contentType, lines.contentType])
  return [events, lines].find(({ contentType }) => contentType === type)
}

/** Texts of pages by format: followers that get the same page share them. */
const texts = new WeakMap<FeedPage, Map<StreamFormat, Buffer>>()

/** Returns the bytes of a page in a format. */
export function formatPage(page: FeedPage, format: StreamFormat): Buffer {
  const known = texts.get(page) ?? new Map<StreamFormat, Buffer>()
  const text = known.get(format) ?? Buffer.from(format.page(page))
  texts.set(page, known.set(format, text))
  return text
}
