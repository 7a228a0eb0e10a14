const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Default maximum of fields and elements in a JSON text, nested ones included; a message has five.
 * Parsing thousands of fields with distinct names takes 40 times as long as parsing other JSON of the same size.
 */
const MAX_VALUES = 128

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_BRACKET = 0x5b
const OPEN_BRACE = 0x7b

/** Whether a JSON text has too many fields and elements: each follows a comma or an opening bracket. */
function hasTooManyValues(bytes: Uint8Array, maxValues: number): boolean {
  // A value and its comma take at least two bytes, so most messages need not be scanned.
  if (bytes.length <= 2 * maxValues) return false
  let values = 0
  let inString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) inString = !inString
    else if (inString) at += byte === BACKSLASH ? 1 : 0
    else if (byte === COMMA || byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      if (++values > maxValues) return true
    }
  }
  return false
}

/** A JSON object, whose fields may have any type. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Whether the value of a JSON text is an object. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Parses JSON in UTF-8.
 * @param maxValues maximum fields and elements in all objects and arrays together
 * @returns the value, or in `wrong` the error as the predicate of a sentence, such as "is not valid JSON".
 */
export function readJson(
  bytes: Uint8Array,
  maxValues = MAX_VALUES,
): { value: unknown } | { wrong: string } {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return { wrong: 'is not valid UTF-8' }
  }
  if (hasTooManyValues(bytes, maxValues))
    return { wrong: `has more than ${maxValues} fields and elements` }
  try {
    return { value: JSON.parse(text) }
  } catch {
    return { wrong: 'is not valid JSON' }
  }
}

/** Returns the JSON of a value; undefined if it is nested too deeply to be written. */
export function writeJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
