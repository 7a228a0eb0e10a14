import { type Static, Type } from '@sinclair/typebox'
import { MAX_ID_LENGTH, type StoredMessage } from '../message/message.ts'

/** Schema of a phone number in international format. */
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
        'Unique id of the message: the first message with an id is stored, later ones are duplicates.',
      minLength: 1,
      maxLength: MAX_ID_LENGTH,
      format: 'storable',
      'x-expected': 'message_id must be 1 to 512 characters, without NUL or unpaired surrogates',
    }),
    from: msisdn('The sender: `+` and 1 to 32 digits.'),
    to: msisdn('The recipient: `+` and 1 to 32 digits.'),
    ts: Type.String({
      description:
        'Time at which it was sent: `YYYY-MM-DDTHH:MM:SS[.fraction]Z`, UTC, up to nine digits of fraction.',
      format: 'utc-instant',
      'x-expected':
        'Timestamp must be an ISO-8601 UTC date and time that exists, ending with Z, such as 2025-01-15T10:00:00Z',
    }),
    text: Type.Optional(
      Type.Unsafe<string | null>({
        type: ['string', 'null'],
        description: 'Text of the message, if it has one.',
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

/** Returns the stored form of a posted message. @param createdAt time of storing, in UTC. */
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

/** Response to a message that is on disk, new or duplicate. */
export const Accepted = Type.Object(
  { status: Type.Literal('ok') },
  {
    $id: 'Accepted',
    title: 'Accepted',
    description:
      'The message is on disk: stored now, or a duplicate of a stored message, which is unchanged.',
    examples: [{ status: 'ok' }],
  },
)

/** Headers of a post; documentation only, as a hook verifies the signature before validation. */
export const SignatureHeaders = Type.Object({
  'x-signature': Type.String({
    description: 'HMAC-SHA256 of the raw body under the secret, in hex, with or without `sha256=`.',
    examples: ['sha256=<64 hexadecimal digits>'],
  }),
})
