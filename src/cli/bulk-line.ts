import type { Static } from '@sinclair/typebox'
import { instantKey, isMessageInstant } from '../message/instant.ts'
import type { StoredMessage } from '../message/message.ts'
import { BulkMessage } from '../schemas/bulk.ts'
import { readJson } from '../schemas/json.ts'
import { toInputProblems } from '../schemas/validation-errors.ts'
import { ajv } from '../schemas/validator.ts'
import { toStoredMessage } from '../schemas/webhook.ts'

const isBulkMessage = ajv.compile<Static<typeof BulkMessage>>(BulkMessage)

/** An instant as the column has it: in UTC. */
function inUtc(instant: string): string {
  return isMessageInstant(instant) ? instant : `${instantKey(instant)}Z`
}

/** Why a line is rejected: everything that is wrong, at once. */
function reasonsOf(value: unknown): string {
  isBulkMessage(value)
  return toInputProblems(isBulkMessage.errors ?? [], 'line')
    .map(({ loc: [, field], msg }) =>
      field === undefined || msg.startsWith(field) ? msg : `${field}: ${msg}`,
    )
    .join('; ')
}

/**
 * The message of a line, under the very rules of the webhook, or why it is rejected.
 * @param now when it counts as stored, unless the line says so.
 */
export function readBulkLine(bytes: Uint8Array, now: string): StoredMessage | string {
  const read = readJson(bytes)
  if ('wrong' in read) return `line ${read.wrong}`
  const { value } = read
  if (!isBulkMessage(value)) return reasonsOf(value)
  return toStoredMessage(value, value.created_at === undefined ? now : inUtc(value.created_at))
}
