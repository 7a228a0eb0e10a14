import { type Static, type TObject, Type } from '@sinclair/typebox'

/** The example of a stored message in the documentation. */
export const EXAMPLE_MESSAGE = {
  message_id: 'm1',
  from_msisdn: '+919876543210',
  to_msisdn: '+14155550100',
  ts: '2025-01-15T10:00:00Z',
  text: 'Hello world',
  created_at: '2025-01-15T10:00:05Z',
}

/** Maximum characters of a `message_id` that a source accepts. */
export const MAX_ID_LENGTH = 512

const messageProperties = {
  message_id: Type.String(),
  from_msisdn: Type.String({ description: 'The sender.' }),
  to_msisdn: Type.String({ description: 'The recipient.' }),
  ts: Type.String({ description: 'Time at which it was sent, as the sender wrote it.' }),
  text: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  created_at: Type.String({ description: 'Time at which it was stored, UTC.' }),
}

const detailProperties = {
  source: Type.String({ description: 'Name of the source that received it, such as `webhook`.' }),
  type: Type.String({ description: 'Kind of message, such as `text` or `image`.' }),
  payload: Type.Unknown({
    description: "The sender's own JSON of this message; null from `webhook`.",
  }),
}

/** A message as it is stored and served in pages. */
export const StoredMessage = Type.Object(
  { ...messageProperties, ...Type.Partial(Type.Object(detailProperties)).properties },
  {
    $id: 'StoredMessage',
    title: 'StoredMessage',
    description: 'A stored message; `source`, `type` and `payload` only if `include` names them.',
    examples: [EXAMPLE_MESSAGE],
  },
)

/** A message with all of its fields. */
export const DetailedMessage = Type.Object(
  { ...messageProperties, ...detailProperties },
  {
    $id: 'DetailedMessage',
    title: 'DetailedMessage',
    description: 'A stored message with all of its fields.',
    examples: [{ ...EXAMPLE_MESSAGE, source: 'webhook', type: 'text', payload: null }],
  },
)

/** The fields of a message that every client gets. */
export type StoredMessage = Static<TObject<typeof messageProperties>>

/** The fields of a message that depend on its source. */
export interface MessageDetails {
  source: string
  type: string
  /** The sender's own JSON of the message, as text. */
  payload: string | null
}

/** A message with its details. */
export type MessageWithDetails = StoredMessage & MessageDetails

/** A message to be stored; without details it is a `text` from `webhook`. */
export type NewMessage = StoredMessage & Partial<MessageDetails>

/** The details of a message that was stored without any. */
export const DEFAULT_DETAILS: MessageDetails = { source: 'webhook', type: 'text', payload: null }
