import { fold } from '../../message/fold.ts'

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

/** Code points of a needle that a phrase is made of; longer needles are compared with the text as well. */
const PHRASE_LENGTH = 32

/**
 * Bytes of the database whose rows FTS5 may compare in one uninterruptible step. Texts of 4 KiB take 8 KiB each with
 * their index and, full of the trigrams, 25 µs: some 100 ms a step.
 */
const UNINTERRUPTIBLE_BYTES = 32 * 1024 * 1024

/** Bounds of the rows in a step: starting one costs about 1 ms, and rows may be larger than their average. */
const MIN_STEP = 4096
const MAX_STEP = 65_536

/** How a needle is looked up in the trigram index. */
export interface IndexSearch {
  /** FTS5 query for the texts that contain the needle, or its beginning where it is long. */
  phrase: string
  /** FTS5 query for the texts that contain each of the phrase's trigrams, anywhere. */
  candidates: string
  /** Whether every text that the phrase matches contains the needle. */
  exact: boolean
  /** Candidates that may be compared with the phrase without a cancellation check in between. */
  slice: number
}

const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`

/**
 * Returns the index search for a folded needle, for which `isIndexed` holds.
 * @param rowBytes average size of a message in the database, its index entries included.
 */
export function indexSearch(needle: string, rowBytes: number): IndexSearch {
  const points = Array.from(needle)
  const phrase = points.slice(0, PHRASE_LENGTH)
  const trigrams = phrase.slice(TRIGRAM - 1).map((_, at) => phrase.slice(at, at + TRIGRAM).join(''))
  const distinct = new Set(trigrams)
  const step = Math.min(MAX_STEP, Math.max(MIN_STEP, UNINTERRUPTIBLE_BYTES / rowBytes))
  return {
    phrase: quote(phrase.join('')),
    candidates: [...distinct].map(quote).join(' AND '),
    exact: phrase.length === points.length,
    // Each repetition of a trigram reads all of its positions in a text again.
    slice: Math.ceil((step * distinct.size) / trigrams.length),
  }
}
