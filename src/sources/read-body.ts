import type { IncomingHttpHeaders } from 'node:http'
import type { ValidateFunction } from 'ajv'
import '../schemas/components.ts'
import { readJson } from '../schemas/json.ts'
import type { InputProblem } from '../schemas/problem.ts'
import { toInputProblems } from '../schemas/validation-errors.ts'
import { ajv } from '../schemas/validator.ts'
import type { Received, Receiver } from './source.ts'

/** Media types of JSON. */
const JSON_TYPE = /^application\/json$|^[^\s,/]+\/[^\s,/]+\+json$/

/** A `Content-Encoding` without effect; clients send `identity`, against RFC 9110, section 8.4. */
const IDENTITY = /^\s*(?:identity)?\s*$/i

/** Names of the headers that determine how a body is read: media type, coding, input of `unwrap`. */
const READ_HEADER = /^content-(?:type|encoding)$|^webhook-(?!signature$)/

/**
 * Reason why a verified body cannot be parsed.
 * `isCoding` distinguishes an unsupported content coding from an unsupported media type.
 */
type ParseFailure =
  | { status: 415; detail: string; isCoding: boolean }
  | { status: 422; problem: InputProblem }

/** A verified body with its headers and media type. */
export interface VerifiedBody {
  bytes: Uint8Array
  headers: IncomingHttpHeaders
  /** Media type in lower case, without parameters; undefined if it is absent or malformed. */
  mediaType: string | undefined
}

function unsupported(detail: string, isCoding: boolean): ParseFailure {
  return { status: 415, detail, isCoding }
}

function invalidJson(msg: string): ParseFailure {
  return { status: 422, problem: { loc: ['body'], msg, type: 'json_invalid' } }
}

/**
 * Parses a verified body into the value that the schema of the source validates.
 * Without `rejectsContent` nothing is rejected: JSON may have any number of fields and elements, and the value is
 * undefined if the body is not JSON.
 */
export function parseBody(
  receiver: Receiver,
  { bytes, headers, mediaType }: VerifiedBody,
): { value: unknown } | ParseFailure {
  if (!receiver.rejectsContent) {
    const read = readJson(bytes, Number.POSITIVE_INFINITY)
    return { value: 'value' in read ? read.value : undefined }
  }
  if (!IDENTITY.test(headers['content-encoding'] ?? '')) {
    return unsupported('unsupported content coding, send the body without Content-Encoding', true)
  }
  if ('content-type' in headers && !JSON_TYPE.test(mediaType ?? ''))
    return unsupported('unsupported media type, expected application/json', false)
  if (bytes.length === 0) return invalidJson('Body is empty, expected a JSON object')
  const read = readJson(bytes)
  if ('wrong' in read) return invalidJson(`Body ${read.wrong}`)
  return receiver.unwrap ? { value: receiver.unwrap(read.value, headers) } : read
}

/** Returns the validator of a receiver's bodies, undefined if they are not validated. */
function validatorOf({ schema: { body } }: Receiver): ValidateFunction | undefined {
  return typeof body === 'object' && body !== null ? ajv.compile(body) : undefined
}

/** Rejection of a verified body: the status of the response, and the reason in one line. */
export interface Rejection {
  status: number
  reason: string
}

function describe(problems: readonly InputProblem[]): string {
  return problems.map(({ loc, msg }) => `${loc.join('.')}: ${msg}`).join('; ')
}

/**
 * Reads a verified body as its route does, but without a request.
 * @param headers those that `headersToKeep` returns.
 * @param createdAt time at which the messages are stored, in UTC.
 * @returns the content of the body, or its rejection.
 */
export function readBody(
  receiver: Receiver,
  bytes: Uint8Array,
  headers: Readonly<Record<string, string>>,
  createdAt: string,
): Received | Rejection {
  const mediaType = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  const parsed = parseBody(receiver, { bytes, headers, mediaType })
  if ('status' in parsed) {
    const reason = parsed.status === 415 ? parsed.detail : describe([parsed.problem])
    return { status: parsed.status, reason }
  }
  const validate = validatorOf(receiver)
  if (validate && !validate(parsed.value)) {
    return { status: 422, reason: describe(toInputProblems(validate.errors ?? [], 'body')) }
  }
  return receiver.read(parsed.value, createdAt)
}

/**
 * Returns the headers that are needed to read a body again, by their names in lower case.
 * @param rawHeaders names and values in turn, as they were received.
 */
export function headersToKeep(rawHeaders: readonly string[]): Record<string, string> {
  const kept: Record<string, string> = {}
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? ''
    if (!READ_HEADER.test(name)) continue
    const value = rawHeaders[at + 1] ?? ''
    // As Node does: it joins repeated headers, except that it uses only the first Content-Type.
    if (kept[name] === undefined) kept[name] = value
    else if (name !== 'content-type') kept[name] += `, ${value}`
  }
  return kept
}
