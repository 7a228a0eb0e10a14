import { type Static, Type } from '@sinclair/typebox'
import { ref } from './component.ts'
import { openCursor, sealCursor } from './cursor.ts'
import { filterProperties } from './messages.ts'

/** Order of senders: by number of messages, the busiest first, or by the bytes of their numbers. */
export type SenderOrder = 'count' | 'number'

/** Position of a sender in either order. */
export interface SenderPosition {
  count: number
  number: string
}

/** The detail of the 422 of an invalid cursor. */
export const INVALID_SENDER_CURSOR =
  'cursor must be the value of next from a page with the same q and order'

/** Query parameters of `GET /senders`. */
export const SendersQuery = Type.Object({
  q: Type.Optional({
    ...filterProperties.from,
    description:
      'The beginning of the number. A leading space is read as `+`. With the order `count`, senders of other numbers are skipped one by one: with many senders the query may time out; the order `number` skips none.',
    'x-expected': 'q must not contain NUL',
    examples: ['+91'],
  }),
  limit: Type.Optional(
    Type.Integer({ description: 'Senders per page, clamped to 1…100.', default: 50 }),
  ),
  order: Type.Optional(
    Type.Unsafe<SenderOrder>({
      type: 'string',
      enum: ['count', 'number'],
      default: 'count',
      description:
        'By number of messages in descending order, then by number (`count`), or by number (`number`).',
      'x-expected': 'order must be count or number',
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      description:
        'The `next` of the previous page, with the same `q` and `order`. The page continues after the count and the number of the last sender. With the order `number`, following it to the end returns every sender that existed at the start exactly once. With the order `count`, a sender is left out if new messages move it to a page before.',
      maxLength: 8192,
      'x-expected': INVALID_SENDER_CURSOR,
    }),
  ),
})

/** Schema of the `ts` of one message of a sender; null if no message has a valid one. */
const extreme = (which: string) =>
  Type.Unsafe<string | null>({
    type: ['string', 'null'],
    description: `The ${which} timestamp, as the sender wrote it; null if no message has a valid one.`,
  })

/** A sender with the number and the instants of its messages. */
export const Sender = Type.Object(
  {
    from: Type.String(),
    count: Type.Integer({ description: 'Number of messages.' }),
    first_message_ts: extreme('earliest'),
    last_message_ts: extreme('latest'),
  },
  { $id: 'Sender', title: 'Sender' },
)

/** A sender with the number and the instants of its messages. */
export type Sender = Static<typeof Sender>

/** One page of senders. */
export const SendersPage = Type.Object(
  {
    data: Type.Array(ref(Sender)),
    next: Type.Optional(
      Type.String({ description: 'The `cursor` of the next page; absent on the last one.' }),
    ),
  },
  {
    $id: 'SendersPage',
    title: 'SendersPage',
    description: 'One page of senders.',
    examples: [
      {
        data: [
          {
            from: '+919876543210',
            count: 342,
            first_message_ts: '2025-01-10T09:00:00Z',
            last_message_ts: '2025-01-20T18:30:00Z',
          },
        ],
      },
    ],
  },
)

/** Prefix and order that a cursor is bound to; it is invalid with any others. */
interface SenderScope {
  prefix: string
  order: SenderOrder
}

const bindingsOf = ({ prefix, order }: SenderScope) => ['senders', order, prefix]

/** Returns the cursor of a position. */
export function writeSenderCursor(scope: SenderScope, { count, number }: SenderPosition): string {
  return sealCursor(bindingsOf(scope), JSON.stringify([count, number]))
}

/** Returns the position in a cursor, undefined if it is malformed or belongs to another scope. */
export function readSenderCursor(scope: SenderScope, cursor: string): SenderPosition | undefined {
  const [count, number] = openCursor(bindingsOf(scope), cursor) ?? []
  return typeof count === 'number' && typeof number === 'string' ? { count, number } : undefined
}
