import { type Static, Type } from '@sinclair/typebox'
import type { StoredMessage } from '../message/message.ts'

const msisdn = (description: string) =>
  Type.String({
    description,
    pattern: '^\\+[0-9]{1,32}$',
    'x-expected': "Phone number must be '+' followed by 1 to 32 digits",
  })

/** A message as senders post it. Unknown fields are ignored; nothing is coerced. */
export const InboundMessage = Type.Object(
  {
    message_id: Type.String({
      description:
        'Names the message for good: the first one with an id is stored, later ones are duplicates.',
      minLength: 1,
      maxLength: 512,
      format: 'storable',
      'x-expected': 'message_id must be 1 to 512 characters, without NUL or unpaired surrogates',
    }),
    from: msisdn('The sender: `+` and 1 to 32 digits.'),
    to: msisdn('The receiver: `+` and 1 to 32 digits.'),
    ts: Type.String({
      description:
        'When it was sent: `YYYY-MM-DDTHH:MM:SS[.fraction]Z`, UTC, up to nine digits of fraction.',
      format: 'utc-instant',
      'x-expected':
        'Timestamp must be an ISO-8601 UTC date and time that exists, ending with Z, such as 2025-01-15T10:00:00Z',
    }),
    text: Type.Optional(
      Type.Unsafe<string | null>({
        type: ['string', 'null'],
        description: 'The text, if there is one.',
        maxLength: 4096,
        format: 'storable',
        'x-expected': 'text must be at most 4096 characters, without NUL or unpaired surrogates',
      }),
    ),
  },
  {
    $id: 'InboundMessage',
    title: 'InboundMessage',
    examples: [
      {
        message_id: 'm1',
        from: '+919876543210',
        to: '+14155550100',
        ts: '2025-01-15T10:00:00Z',
        text: 'Hello world',
      },
    ],
  },
)

/** Returns the message to store for a message as it was posted; `createdAt` is in UTC. */
export function toStoredMessage(
  { message_id, from, to, ts, text }: Static<typeof InboundMessage>,
  createdAt: string,
): StoredMessage {
  return {
    message_id,
    from_msisdn: from,
    to_msisdn: to,
    ts,
    text: text ?? null,
    created_at: createdAt,
  }
}

/** The answer to a message that is on disk, whether it was new or known. */
export const Accepted = Type.Object(
  { status: Type.Literal('ok') },
  {
    $id: 'Accepted',
    title: 'Accepted',
    description: 'On disk: stored now, or known already and untouched.',
    examples: [{ status: 'ok' }],
  },
)

/** The signature of the raw body. Described here and verified before any schema is. */
export const SignatureHeaders = Type.Object({
  'x-signature': Type.String({
    description: 'HMAC-SHA256 of the raw body under the secret, in hex, with or without `sha256=`.',
    examples: ['sha256=<64 hexadecimal digits>'],
  }),
})
