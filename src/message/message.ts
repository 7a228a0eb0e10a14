import { type Static, Type } from '@sinclair/typebox'

/** The example of a stored message in the documentation. */
export const EXAMPLE_MESSAGE = {
  message_id: 'm1',
  from_msisdn: '+919876543210',
  to_msisdn: '+14155550100',
  ts: '2025-01-15T10:00:00Z',
  text: 'Hello world',
  created_at: '2025-01-15T10:00:05Z',
}

/** A message as it is stored and served. */
export const StoredMessage = Type.Object(
  {
    message_id: Type.String(),
    from_msisdn: Type.String({ description: 'The sender.' }),
    to_msisdn: Type.String({ description: 'The recipient.' }),
    ts: Type.String({ description: 'Time at which it was sent, as the sender wrote it.' }),
    text: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
    created_at: Type.String({ description: 'Time at which it was stored, UTC.' }),
  },
  {
    $id: 'StoredMessage',
    title: 'StoredMessage',
    description: 'A stored message.',
    examples: [EXAMPLE_MESSAGE],
  },
)

/** A message as it is stored and served. */
export type StoredMessage = Static<typeof StoredMessage>
