import { Ajv } from 'ajv'
import { DETAIL_COLUMNS } from '../message/columns.ts'
import { instantKey, isMessageInstant } from '../message/instant.ts'
import { isStorable } from '../message/storable.ts'
import { isTimeZone } from '../message/time-buckets.ts'

/** The validator of all input, over HTTP or from files. Reports all errors and coerces nothing. */
export const ajv = new Ajv({
  allErrors: true,
  coerceTypes: false,
  useDefaults: true,
  // Adds value and schema to each error; `toInputProblems` uses them.
  verbose: true,
  strictTypes: false,
  formats: {
    storable: isStorable,
    'utc-instant': isMessageInstant,
    'message-details': (text: string) =>
      text.split(',').every((name) => DETAIL_COLUMNS.some((column) => column === name)),
    'time-zone': isTimeZone,
    instant: (text: string) => instantKey(text) !== undefined,
  },
})
ajv.addVocabulary(['x-expected'])

/** Returns the number of code points: UTF-16 code units except the second of each surrogate pair. */
function countCharacters(text: string): number {
  let count = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit >= 0xdc00 && unit <= 0xdfff) count--
  }
  return count
}

// Replaces Ajv's own keyword, which counts the code points of every text. This one counts only where the number of code
// units does not decide.
ajv.removeKeyword('maxLength')
ajv.addKeyword({
  keyword: 'maxLength',
  type: 'string',
  schemaType: 'number',
  validate: (max: number, text: string) =>
    text.length <= max || (text.length <= 2 * max && countCharacters(text) <= max),
})
