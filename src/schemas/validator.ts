import { Ajv } from 'ajv'
import { instantKey, isMessageInstant } from '../db/instant.ts'

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
