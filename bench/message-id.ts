import { createHash } from 'node:crypto'

/**
 * Returns the id of a message of the load: a UUID, as real senders use, that follows from the prefix and the number.
 * PostgreSQL computes the same as `md5(prefix || number)::uuid::text`.
 */
export function messageId(prefix: string, number: number): string {
  const hex = createHash('md5').update(`${prefix}${number}`).digest('hex')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-')
}
