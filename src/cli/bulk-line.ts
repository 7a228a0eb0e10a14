import type { Static } from '@sinclair/typebox'
import { instantKey, isMessageInstant } from '../message/instant.ts'
import type { StoredMessage } from '../message/message.ts'
import { BulkMessage } from '../schemas/bulk.ts'
import { readJson } from '../schemas/json.ts'
import { toInputProblems } from '../schemas/validation-errors.ts'
import { ajv } from '../schemas/validator.ts'
import { toStoredMessage } from '../schemas/webhook.ts'

const isBulkMessage = ajv.compile<Static<typeof BulkMessage>>(BulkMessage)

/** Returns a timestamp converted to UTC; one in the format of `ts` stays unchanged. */
function inUtc(instant: string): string {
  return isMessageInstant(instant) ? instant : `${instantKey(instant)}Z`
}

/** Returns all problems of a line that is not a message, in one text. */
function describeProblems(value: unknown): string {
  isBulkMessage(value)
  return toInputProblems(isBulkMessage.errors ?? [], 'line')
    .map(({ loc: [, field], msg }) =>
      field === undefined || msg.startsWith(field) ? msg : `${field}: ${msg}`,
    )
    .join('; ')
}

/**
 * Returns the message of a line, validated as a post is, or the reason to reject it.
 * @param now `created_at` of the message if the line has none.
 */
export function readBulkLine(bytes: Uint8Array, now: string): StoredMessage | string {
  const read = readJson(bytes)
  if ('wrong' in read) return `line ${read.wrong}`
  const { value } = read
  if (!isBulkMessage(value)) return describeProblems(value)
  return toStoredMessage(value, value.created_at === undefined ? now : inUtc(value.created_at))
}
