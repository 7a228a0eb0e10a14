import { type Static, Type } from '@sinclair/typebox'
import { DetailedMessage, EXAMPLE_MESSAGE } from '../message/message.ts'
import { ref } from './component.ts'
import { filterProperties } from './messages.ts'

const { from, to, source, type, q } = filterProperties

/** The detail of the 422 of an invalid cursor. */
export const INVALID_FEED_CURSOR = 'cursor must be the value of next from a page of the feed'

/** The detail of the 410 of a cursor from which the feed cannot continue. */
export const STALE_CURSOR = 'messages after this cursor were removed, or it is of another database'

/** Query parameters of `GET /feed`. `limit` and `wait` are clamped to their range. */
export const FeedQuery = Type.Object({
  cursor: Type.Optional(
    Type.String({
      description:
        'The `next` of an earlier page, or the `id` of an event; default: the first message. It is valid with any filters, after restarts, and for every instance of the service.',
      maxLength: 256,
      'x-expected': INVALID_FEED_CURSOR,
    }),
  ),
  after: Type.Optional(
    Type.Literal('now', {
      description: 'Begins after the last message that is stored now.',
      'x-expected': 'after must be now',
    }),
  ),
  limit: Type.Optional(
    Type.Integer({
      description: 'Messages per page, clamped to 1…1000; streams have no limit.',
      default: 100,
    }),
  ),
  wait: Type.Optional(
    Type.Integer({
      description:
        'Seconds to wait for a message if there is none, clamped to 0…30; default 0. The response is sent as soon as there is one.',
    }),
  ),
  from,
  to,
  source,
  type,
  q,
})

/** Values of the query parameters of `GET /feed`. */
export type FeedQuery = Static<typeof FeedQuery>

/** A page of the feed. */
export const FeedPage = Type.Object(
  {
    data: Type.Array(ref(DetailedMessage)),
    next: Type.String({ description: 'The `cursor` of the next page; there always is one.' }),
    done: Type.Boolean({
      description: 'Whether there was no further message; if not, request the next page at once.',
    }),
  },
  {
    $id: 'FeedPage',
    title: 'FeedPage',
    description:
      'The next messages in the order in which they became durable. With filters, `data` may be empty although `done` is false: `next` is after the messages that did not match.',
    examples: [
      {
        data: [{ ...EXAMPLE_MESSAGE, source: 'webhook', type: 'text', payload: null }],
        next: '42~yg3yyVqh',
        done: true,
      },
    ],
  },
)

/** The response to a cursor from which the feed cannot continue. */
export const StaleCursor = Type.Object(
  {
    detail: Type.String({ description: 'Why the feed cannot continue.' }),
    oldest: Type.String({ description: 'The `cursor` before the first message that there is.' }),
  },
  {
    $id: 'StaleCursor',
    title: 'StaleCursor',
    description:
      'Messages after the cursor were removed, or the cursor is of another database. To continue from the first message, use `oldest`.',
    examples: [
      {
        detail: STALE_CURSOR,
        oldest: '0',
      },
    ],
  },
)
