import { fold } from '../../message/fold.ts'

/** Code points in a trigram. */
const TRIGRAM = 3

/**
 * Characters that FTS5 does not distinguish.
 * It skips NUL, and reads the last two code points of the BMP as U+FFFD.
 */
const INDISTINCT = /[\0\ufffd-\uffff]/g
const REPLACEMENT = '\ufffd'

/** Returns the text to index: folded, with one character for all those that FTS5 does not distinguish. */
export function indexedText(text: string): string {
  return fold(text).replace(INDISTINCT, REPLACEMENT)
}

/**
 * Whether the trigram index can serve a folded needle.
 * Otherwise the texts that match its phrase may differ from those that contain it.
 */
export function isIndexed(needle: string): boolean {
  return Array.from(needle).length >= TRIGRAM && needle.search(INDISTINCT) < 0
}

/** Maximum length of a phrase in code points. A longer needle is compared with the texts as well. */
const PHRASE_LENGTH = 32

/**
 * Size in bytes of the part of the database whose rows FTS5 may compare in one uninterruptible step.
 * Measured worst case: texts of 4 KiB that consist of the trigrams take 8 KiB each, index included, and 25 µs; so a
 * step takes 100 ms.
 */
const UNINTERRUPTIBLE_BYTES = 32 * 1024 * 1024

/**
 * Bounds of the number of rows in a step.
 * Starting a step takes about 1 ms, and rows may be above average size.
 */
const MIN_STEP = 4096
const MAX_STEP = 65_536

/** The search of the trigram index for a needle. */
export interface IndexSearch {
  /** FTS5 query for texts that contain the needle, or the beginning of a long one. */
  phrase: string
  /** FTS5 query for texts that contain every trigram of the phrase, anywhere. */
  candidates: string
  /** Whether every text that matches the phrase contains the needle. */
  exact: boolean
  /** Number of candidates that may be compared with the phrase between two cancellation checks. */
  slice: number
}

const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`

/**
 * Returns the index search for a folded needle, for which `isIndexed` must hold.
 * @param rowBytes average size in bytes of a message in the database, its index entries included.
 */
export function indexSearch(needle: string, rowBytes: number): IndexSearch {
  const points = Array.from(needle)
  const phrase = points.slice(0, PHRASE_LENGTH)
  const trigrams = phrase
    .slice(TRIGRAM - 1)
    .map((_, index) => phrase.slice(index, index + TRIGRAM).join(''))
  const distinct = new Set(trigrams)
  const step = Math.min(MAX_STEP, Math.max(MIN_STEP, UNINTERRUPTIBLE_BYTES / rowBytes))
  return {
    phrase: quote(phrase.join('')),
    candidates: [...distinct].map(quote).join(' AND '),
    exact: phrase.length === points.length,
    // For each repetition of a trigram FTS5 reads all of its positions in a text again.
    slice: Math.ceil((step * distinct.size) / trigrams.length),
  }
}
