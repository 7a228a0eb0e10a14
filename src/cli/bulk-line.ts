import type { Static, TSchema } from '@sinclair/typebox'
import { instantKey, isMessageInstant } from '../message/instant.ts'
import { DEFAULT_DETAILS, type MessageWithDetails, type NewMessage } from '../message/message.ts'
import { type BulkLine, BulkMessage, DetailedBulkMessage } from '../schemas/bulk.ts'
import { readJson, writeJson } from '../schemas/json.ts'
import { toInputProblems } from '../schemas/validation-errors.ts'
import { ajv } from '../schemas/validator.ts'
import { toStoredMessage } from '../schemas/webhook.ts'

/**
 * Returns a function that validates a line.
 * It returns the message, or all problems of the line as one text.
 */
function compile<Schema extends TSchema>(schema: Schema) {
  const isValid = ajv.compile<Static<Schema>>(schema)
  return (value: unknown): { message: Static<Schema> } | string => {
    if (isValid(value)) return { message: value }
    return toInputProblems(isValid.errors ?? [], 'line')
      .map(({ loc: [, field], msg }) =>
        field === undefined || msg.startsWith(field) ? msg : `${field}: ${msg}`,
      )
      .join('; ')
  }
}

const readMessage = compile(BulkMessage)
const readDetailedMessage = compile(DetailedBulkMessage)

/** Returns a timestamp converted to UTC; one in the format of `ts` stays unchanged. */
function inUtc(instant: string): string {
  return isMessageInstant(instant) ? instant : `${instantKey(instant)}Z`
}

/**
 * Returns the message of a line, validated as a post is, or the reason to reject it.
 * @param now `created_at` of the message if the line has none.
 */
export function readBulkLine(bytes: Uint8Array, now: string): NewMessage | string {
  const read = readJson(bytes, Number.POSITIVE_INFINITY)
  if ('wrong' in read) return `line ${read.wrong}`
  const { value } = read
  const createdAt = (given: string | undefined) => (given === undefined ? now : inUtc(given))
  if (typeof value !== 'object' || value === null || !('source' in value)) {
    const line = readMessage(value)
    return typeof line === 'string'
      ? line
      : toStoredMessage(line.message, createdAt(line.message.created_at))
  }
  const line = readDetailedMessage(value)
  if (typeof line === 'string') return line
  const { source, type, payload, created_at } = line.message
  const json = payload === null ? null : writeJson(payload)
  if (json === undefined) return 'payload is nested too deeply'
  return {
    ...toStoredMessage(line.message, createdAt(created_at)),
    source,
    type,
    payload: json,
  }
}

/** Returns the line of a message; details that equal `DEFAULT_DETAILS` are omitted. */
export function writeBulkLine(message: MessageWithDetails): string {
  const { message_id, from_msisdn: from, to_msisdn: to, ts, text, created_at } = message
  const { source, type, payload } = message
  const isDefault = source === DEFAULT_DETAILS.source && type === DEFAULT_DETAILS.type && !payload
  const line: BulkLine = { message_id, from, to, ts, text, created_at }
  const details = { source, type, payload: payload === null ? null : JSON.parse(payload) }
  return `${JSON.stringify(isDefault ? line : { ...line, ...details })}\n`
}
