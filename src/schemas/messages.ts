import { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
import type { MessageFilter, Order } from '../message/filter.ts'
import { instantKey } from '../message/instant.ts'
import { EXAMPLE_MESSAGE, StoredMessage } from '../message/message.ts'
import { ref } from './component.ts'

/** Messages per page if `limit` is absent. */
export const DEFAULT_LIMIT = 50

/** Order of a page if `order` is absent. */
export const DEFAULT_ORDER: Order = 'asc'

/** Query parameters that filter messages, in `GET /messages` and in exports. */
export const filterProperties = {
  from: Type.Optional(
    Type.String({
      description: 'The sender; exact match. A leading space is read as `+`.',
      format: 'storable',
      'x-expected': 'from must not contain NUL',
      examples: ['+919876543210'],
    }),
  ),
  to: Type.Optional(
    Type.String({
      description:
        'The recipient; exact match. A leading space is read as `+`. Not indexed: every message that the other filters match is read.',
      format: 'storable',
      'x-expected': 'to must not contain NUL',
      examples: ['+14155550100'],
    }),
  ),
  source: Type.Optional(
    Type.String({
      description: 'The source that received the message; exact match. Not indexed, like `to`.',
      format: 'storable',
      'x-expected': 'source must not contain NUL',
      examples: ['webhook'],
    }),
  ),
  type: Type.Optional(
    Type.String({
      description: 'The kind of message; exact match. Not indexed, like `to`.',
      format: 'storable',
      'x-expected': 'type must not contain NUL',
      examples: ['text'],
    }),
  ),
  since: Type.Optional(
    Type.String({
      description: 'Messages at this instant or later: RFC 3339, with `Z` or an offset.',
      format: 'instant',
      'x-expected':
        'since must be an RFC 3339 timestamp in the years 0000 to 9999, such as 2025-01-15T10:00:00Z or 2025-01-15T15:30:00+05:30',
      examples: ['2025-01-15T00:00:00Z'],
    }),
  ),
  until: Type.Optional(
    Type.String({
      description: 'Messages before this instant: RFC 3339, with `Z` or an offset.',
      format: 'instant',
      'x-expected':
        'until must be an RFC 3339 timestamp in the years 0000 to 9999, such as 2025-01-15T10:00:00Z or 2025-01-15T15:30:00+05:30',
      examples: ['2025-01-16T00:00:00Z'],
    }),
  ),
  q: Type.Optional(
    Type.String({
      description:
        'A literal substring of the text, case-insensitive in every script. Empty: every message.',
      format: 'storable',
      'x-expected': 'q must not contain NUL',
      examples: ['hello'],
    }),
  ),
} satisfies Record<keyof MessageFilter, TSchema>

/** The names of the filters. */
export const FILTER_NAMES = Type.KeyOf(Type.Object(filterProperties)).anyOf.map(
  ({ const: name }) => name,
)

/** Validated values of the filter parameters. */
export type FilterValues = Static<TObject<typeof filterProperties>>

/** Returns the filter of these parameters. A leading space of a phone number is an unencoded `+`. */
export function readFilter({ from, to, source, type, since, until, q }: FilterValues) {
  return {
    from: from?.replace(/^ /, '+'),
    to: to?.replace(/^ /, '+'),
    source,
    type,
    since: since === undefined ? undefined : instantKey(since),
    until: until === undefined ? undefined : instantKey(until),
    q,
  } satisfies Record<keyof MessageFilter, string | undefined>
}

const order = Type.Optional(
  Type.Unsafe<Order>({
    type: 'string',
    enum: ['asc', 'desc'],
    default: DEFAULT_ORDER,
    description: 'Oldest first (`asc`) or newest first (`desc`).',
    'x-expected': 'order must be asc or desc',
  }),
)

/** Query parameters of `GET /messages/export`. */
export const ExportQuery = Type.Object({ order, ...filterProperties })

/** Query parameters of `GET /messages`. `limit` and `offset` are clamped to their range. */
export const MessagesQuery = Type.Object({
  limit: Type.Optional(
    Type.Integer({
      description: 'Messages per page, clamped to 1…100.',
      default: DEFAULT_LIMIT,
    }),
  ),
  offset: Type.Optional(
    Type.Integer({ description: 'Messages to skip; default 0. A negative value is clamped to 0.' }),
  ),
  order,
  cursor: Type.Optional(
    Type.String({
      description:
        'The `next` of the previous page, with the same filters and order, and without `offset`. Following it to the end returns every message that existed at the start exactly once, even while others arrive.',
      maxLength: 8192,
      'x-expected': 'cursor must be the value of next from a page with the same filters and order',
    }),
  ),
  include: Type.Optional(
    Type.String({
      description:
        'Fields to add to every message: `source`, `type` and `payload`, separated by commas.',
      format: 'message-details',
      'x-expected': 'include must be a list of source, type and payload, separated by commas',
      examples: ['source,type,payload'],
    }),
  ),
  total: Type.Optional(
    Type.Unsafe<'exact' | 'none'>({
      type: 'string',
      enum: ['exact', 'none'],
      default: 'exact',
      description:
        'Whether to count the messages that match. With `none`, `total` is null, which makes a search for frequent words many times faster.',
      'x-expected': 'total must be exact or none',
    }),
  ),
  ...filterProperties,
})

/** Values of the query parameters of `GET /messages`. */
export type MessagesQuery = Static<typeof MessagesQuery>

/** Path parameters of `GET /messages/{message_id}`. */
export const MessageParams = Type.Object({
  message_id: Type.String({ format: 'storable', 'x-expected': 'message_id must not contain NUL' }),
})

/** One page of messages, ordered by instant and then by the bytes of the id. */
export const MessagesPage = Type.Object(
  {
    data: Type.Array(ref(StoredMessage)),
    // Not optional: the serializer writes optional fields last.
    total: Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      description: 'Number of messages that match, on all pages; null with `total=none`.',
    }),
    limit: Type.Integer({ description: 'The limit that was applied.' }),
    offset: Type.Integer({ description: 'The offset that was applied.' }),
    next: Type.Optional(
      Type.String({ description: 'The `cursor` of the next page; absent on the last one.' }),
    ),
  },
  {
    $id: 'MessagesPage',
    title: 'MessagesPage',
    description:
      'One page of messages. `Link` with `rel="next"` holds the address of the next page, if there is one.',
    examples: [
      {
        data: [EXAMPLE_MESSAGE],
        total: 123,
        limit: 50,
        offset: 0,
      },
    ],
  },
)
