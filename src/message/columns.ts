import type { StoredMessage } from './message.ts'

/** The columns of a stored message, in the order of the table and of every batch. */
export const MESSAGE_COLUMNS = [
  'message_id',
  'from_msisdn',
  'to_msisdn',
  'ts',
  'text',
  'created_at',
] as const satisfies (keyof StoredMessage)[]
