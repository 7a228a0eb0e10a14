import { fold } from '../fold.ts'

/** Code points that an entry of the index is made of. */
const TRIGRAM = 3

/** What FTS5 does not tell apart: it skips NUL, and reads the last two code points of the plane as U+FFFD. */
const ALIKE = /[\0\ufffd-\uffff]/g
const STAND_IN = '\ufffd'

/** What of a text is indexed: it folded, and one character in the place of all that FTS5 does not tell apart. */
export function indexedText(text: string): string {
  return fold(text).replace(ALIKE, STAND_IN)
}

/** Whether a folded needle can be looked up in the index, where its phrase of trigrams is then exactly a substring. */
export function isIndexed(needle: string): boolean {
  return Array.from(needle).length >= TRIGRAM && needle.search(ALIKE) < 0
}
