import type { MessageDetails, StoredMessage } from './message.ts'

/** The columns of a stored message, in the order of the table and of every batch. */
export const MESSAGE_COLUMNS = [
  'message_id',
  'from_msisdn',
  'to_msisdn',
  'ts',
  'text',
  'created_at',
] as const satisfies (keyof StoredMessage)[]

/** The columns of the details of a message. */
export const DETAIL_COLUMNS = [
  'source',
  'type',
  'payload',
] as const satisfies (keyof MessageDetails)[]

/** The columns of a message with its details. */
export const ALL_COLUMNS = [...MESSAGE_COLUMNS, ...DETAIL_COLUMNS] as const
