import { type Static, Type } from '@sinclair/typebox'
import { filterProperties } from './messages.ts'
import { InboundMessage } from './webhook.ts'

const createdAt = Type.Optional(
  Type.String({
    format: 'instant',
    'x-expected':
      'created_at must be an RFC 3339 timestamp that exists, such as 2025-01-15T10:00:05Z',
  }),
)

/** Schema of a string that every store accepts. */
const storable = (name: string) =>
  Type.String({
    format: 'storable',
    'x-expected': `${name} must not contain NUL or unpaired surrogates`,
  })

/**
 * Maximum characters of a sender, as in messages of Meta.
 * PostgreSQL limits the rows of a B-tree index, here that of senders, to 2,704 bytes.
 */
const MAX_SENDER_LENGTH = 140

/** A line of an import: a message as senders post it, with the time at which it was stored, if known. */
export const BulkMessage = Type.Object({ ...InboundMessage.properties, created_at: createdAt })

/**
 * A line of an import with the details of its message.
 * Sources other than `webhook` may have senders without a phone number, and texts of any length.
 */
export const DetailedBulkMessage = Type.Object({
  ...InboundMessage.properties,
  from: Type.String({
    format: 'storable',
    maxLength: MAX_SENDER_LENGTH,
    'x-expected': `from must be at most ${MAX_SENDER_LENGTH} characters, without NUL or unpaired surrogates`,
  }),
  to: storable('to'),
  text: Type.Optional(
    Type.Unsafe<string | null>({
      type: ['string', 'null'],
      format: 'storable',
      'x-expected': 'text must not contain NUL or unpaired surrogates',
    }),
  ),
  created_at: createdAt,
  source: storable('source'),
  type: storable('type'),
  payload: Type.Unknown(),
})

/** The messages to export: the filters of `GET /messages`. */
export const ExportFilter = Type.Object(filterProperties)

/** A line of an export, which is valid input of an import. */
export type BulkLine = Required<Static<typeof BulkMessage>> &
  Partial<Pick<Static<typeof DetailedBulkMessage>, 'source' | 'type' | 'payload'>>
