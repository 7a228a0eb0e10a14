import { Ajv } from 'ajv'
import { instantKey, isMessageInstant } from '../message/instant.ts'

/**
 * One strict validator for everything that comes from outside, on whichever way: all problems at once and nothing
 * coerced.
 */
export const ajv = new Ajv({
  allErrors: true,
  coerceTypes: false,
  useDefaults: true,
  // Mistakes carry the value and the schema, from which they are worded.
  verbose: true,
  strictTypes: false,
  formats: {
    // What every store can hold: PostgreSQL takes no NUL, and UTF-8 has no unpaired surrogates.
    storable: (text: string) => text.isWellFormed() && !text.includes('\0'),
    'utc-instant': isMessageInstant,
    instant: (text: string) => instantKey(text) !== undefined,
  },
})
ajv.addVocabulary(['x-expected'])

/** Characters, each of which is one code unit or two, of which the second is recognised. */
function countCharacters(text: string): number {
  let count = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit >= 0xdc00 && unit <= 0xdfff) count--
  }
  return count
}

// As Ajv's own, but that characters are counted only where they matter: Ajv counts to the end of whatever it is given.
ajv.removeKeyword('maxLength')
ajv.addKeyword({
  keyword: 'maxLength',
  type: 'string',
  schemaType: 'number',
  validate: (max: number, text: string) =>
    text.length <= max || (text.length <= 2 * max && countCharacters(text) <= max),
})
