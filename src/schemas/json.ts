const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Fields and elements that a text may have in all its objects and arrays. Thousands of them, each with a name of its
 * own, cost the parser forty times what a text of that size does otherwise; a message has five.
 */
const MAX_VALUES = 128

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_BRACKET = 0x5b
const OPEN_BRACE = 0x7b

/** Whether there are too many fields and elements, each of which follows a comma or the bracket of its container. */
function hasTooManyValues(bytes: Uint8Array): boolean {
  // A value and its comma take two bytes at the least: most messages are not looked through.
  if (bytes.length <= 2 * MAX_VALUES) return false
  let values = 0
  let inString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) inString = !inString
    else if (inString) at += byte === BACKSLASH ? 1 : 0
    else if (byte === COMMA || byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      if (++values > MAX_VALUES) return true
    }
  }
  return false
}

/** The value of a JSON text in UTF-8, or what is wrong with it, to follow its name in a sentence. */
export function readJson(bytes: Uint8Array): { value: unknown } | { wrong: string } {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return { wrong: 'is not valid UTF-8' }
  }
  if (hasTooManyValues(bytes)) return { wrong: `has more than ${MAX_VALUES} fields and elements` }
  try {
    return { value: JSON.parse(text) }
  } catch {
    return { wrong: 'is not valid JSON' }
  }
}
