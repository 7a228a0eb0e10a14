import { MAX_ID_LENGTH, type NewMessage } from '../message/message.ts'
import { isStorable, toStorable } from '../message/storable.ts'
import { isJsonObject, type JsonObject, writeJson } from '../schemas/json.ts'
import type { Received } from './source.ts'

/** Statuses of delivery receipts that are counted by name; all others are counted as `status_other`. */
const STATUSES = ['sent', 'delivered', 'read', 'failed', 'played', 'deleted'] as const

/** Kinds of items that are not stored. */
export const NOT_STORED_KINDS = [
  ...STATUSES.map((status) => `status_${status}`),
  'status_other',
  /** A change of a field other than `messages`. */
  'other_field',
  /** An element of `errors`, which Meta reports apart from messages. */
  'error',
  /** A message whose id is missing or cannot be stored. */
  'no_message_id',
  /** A part that does not have the documented structure. */
  'malformed',
  /** A body that is not JSON. */
  'not_json',
] as const

/**
 * Maximum characters of a sender.
 * A user id consists of a country code, up to two dots, `ENT` and up to 128 characters.
 */
const MAX_SENDER_LENGTH = 140

/** Maximum digits of a phone number. */
const MAX_DIGITS = 32

/** Maximum characters of the name of a type. */
const MAX_TYPE_LENGTH = 64

/** The last second of the year 9999, since 1970. */
const MAX_TIMESTAMP = 253_402_300_799

function asObject(value: unknown): JsonObject | undefined {
  return isJsonObject(value) ? value : undefined
}

function asString(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Returns `object[name][field]` if it is a string. */
function stringAt(object: JsonObject, name: string, field: string): string | undefined {
  return asString(asObject(object[name])?.[field])
}

/** Returns the text of the chosen button or row, or of the filled form. */
function interactiveText(message: JsonObject): string | undefined {
  const interactive = asObject(message.interactive) ?? {}
  return (
    stringAt(interactive, 'button_reply', 'title') ??
    stringAt(interactive, 'list_reply', 'title') ??
    stringAt(interactive, 'nfm_reply', 'body')
  )
}

/** The text of each type of message that has one. */
const TEXTS: Readonly<Record<string, (message: JsonObject) => string | undefined>> = {
  text: (message) => stringAt(message, 'text', 'body'),
  image: (message) => stringAt(message, 'image', 'caption'),
  video: (message) => stringAt(message, 'video', 'caption'),
  document: (message) => stringAt(message, 'document', 'caption'),
  button: (message) => stringAt(message, 'button', 'text'),
  interactive: interactiveText,
}

/** Returns the id of a message; undefined if it cannot be stored. */
function idOf({ id }: JsonObject): string | undefined {
  return typeof id === 'string' && id !== '' && id.length <= MAX_ID_LENGTH && isStorable(id)
    ? id
    : undefined
}

/** Returns the sender: `+` and the digits of `from`, or the user id if there is no phone number. */
function senderOf({ from, from_user_id }: JsonObject): string {
  const number = asString(from)?.replace(/^\+/, '')
  if (number !== undefined && /^\d+$/.test(number)) return `+${number.slice(0, MAX_DIGITS)}`
  return toStorable((asString(from_user_id) ?? number ?? '').slice(0, MAX_SENDER_LENGTH))
}

/** Returns the timestamp, unix seconds as text or number, in RFC 3339; undefined if it is invalid. */
function instantOf({ timestamp }: JsonObject): string | undefined {
  const seconds =
    typeof timestamp === 'number' ? timestamp : Number(asString(timestamp) || Number.NaN)
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > MAX_TIMESTAMP) return undefined
  return new Date(seconds * 1000).toISOString().replace('.000', '')
}

/** Reads a body item by item; an item that cannot be read is counted, and the others are kept. */
class BodyReader {
  readonly messages: NewMessage[] = []
  readonly notStored: Record<string, number> = {}
  readonly #createdAt: string

  constructor(createdAt: string) {
    this.#createdAt = createdAt
  }

  /** Counts an item that is not stored. */
  count(kind: (typeof NOT_STORED_KINDS)[number]): void {
    this.notStored[kind] = (this.notStored[kind] ?? 0) + 1
  }

  /** Reads each object of an array; an absent array is empty. */
  #each(array: unknown, read: (item: JsonObject) => void): void {
    if (array === undefined) return
    if (!Array.isArray(array)) {
      this.count('malformed')
      return
    }
    for (const item of array) {
      const object = asObject(item)
      if (object) read(object)
      else this.count('malformed')
    }
  }

  /** Reads the parsed JSON of a body. */
  body(body: unknown): void {
    const { entry } = asObject(body) ?? {}
    if (entry === undefined) this.count('malformed')
    this.#each(entry, ({ changes }) => this.#each(changes, (change) => this.#change(change)))
  }

  #change({ field, value }: JsonObject): void {
    if (field !== 'messages') {
      this.count('other_field')
      return
    }
    const content = asObject(value)
    if (!content) {
      this.count('malformed')
      return
    }
    const displayed = stringAt(content, 'metadata', 'display_phone_number') ?? ''
    const digits = displayed.replace(/\D/g, '').slice(0, MAX_DIGITS)
    const to = digits === '' ? '' : `+${digits}`
    this.#each(content.messages, (message) => this.#message(message, to))
    this.#each(content.statuses, ({ status }) => {
      const known = STATUSES.find((name) => name === status)
      this.count(known ? `status_${known}` : 'status_other')
    })
    this.#each(content.errors, () => this.count('error'))
  }

  #message(message: JsonObject, to: string): void {
    const message_id = idOf(message)
    if (message_id === undefined) {
      this.count('no_message_id')
      return
    }
    const type = toStorable(asString(message.type) || 'unknown')
      .slice(0, MAX_TYPE_LENGTH)
      .toWellFormed()
    const text = Object.hasOwn(TEXTS, type) ? TEXTS[type]?.(message) : undefined
    this.messages.push({
      message_id,
      from_msisdn: senderOf(message),
      to_msisdn: to,
      ts: instantOf(message) ?? this.#createdAt,
      text: text === undefined ? null : toStorable(text),
      created_at: this.#createdAt,
      source: 'meta',
      type,
      payload: writeJson(message) ?? null,
    })
  }
}

/**
 * Returns the messages of a WhatsApp Cloud API body, and the numbers of items that are not stored.
 * @param body the parsed JSON; undefined if the body is not JSON
 * @param createdAt time of storing, in UTC; also `ts` of a message without a valid timestamp
 */
export function readMetaBody(body: unknown, createdAt: string): Received {
  const reader = new BodyReader(createdAt)
  if (body === undefined) reader.count('not_json')
  else reader.body(body)
  return { messages: reader.messages, notStored: reader.notStored }
}
