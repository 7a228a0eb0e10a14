import { indexedText } from '../trigrams.ts'

const SURROGATE = /[\ud800-\udfff]/

/** Returns every sequence of three code points. */
function trigramsOf(text: string): string[] {
  const trigrams: string[] = []
  if (SURROGATE.test(text)) {
    const points = Array.from(text)
    for (let start = 0; start + 3 <= points.length; start++) {
      trigrams.push(points.slice(start, start + 3).join(''))
    }
  } else {
    // Without surrogates a code point is one UTF-16 unit, and slicing the string is many times as fast.
    for (let start = 0; start + 3 <= text.length; start++) {
      trigrams.push(text.slice(start, start + 3))
    }
  }
  return trigrams
}

/** A prime below 2^31, so that the product of a row and a position stays an exact integer. */
export const CHECKSUM_MODULUS = 2_147_483_647

/** The occurrences of a trigram; the names are those of FTS5's `fts5vocab` tables. */
export interface TermCount {
  term: string
  /** Number of rows that contain the term. */
  doc: number
  /** Number of occurrences in all rows. */
  cnt: number
  /** Sum over all occurrences of row × (position + 1), modulo `CHECKSUM_MODULUS`. */
  checksum: number
}

/**
 * Counts the trigrams of texts.
 * To bound memory, the caller takes the counts when `size` is large.
 */
export class TrigramRecount {
  readonly #counts = new Map<string, { doc: number; cnt: number; checksum: number; last: number }>()

  /** Counts the trigrams of a row's text. Rows must not be interleaved. @returns the number of trigrams. */
  add(row: number, text: string): number {
    const trigrams = trigramsOf(indexedText(text))
    for (const [position, term] of trigrams.entries()) {
      const checksum = (row * (position + 1)) % CHECKSUM_MODULUS
      const count = this.#counts.get(term)
      if (!count) {
        this.#counts.set(term, { doc: 1, cnt: 1, checksum, last: row })
        continue
      }
      count.cnt++
      if (count.last !== row) count.doc++
      count.last = row
      count.checksum = (count.checksum + checksum) % CHECKSUM_MODULUS
    }
    return trigrams.length
  }

  /** Number of different trigrams. */
  get size(): number {
    return this.#counts.size
  }

  /** Yields all counts, then clears them. */
  *take(): Generator<TermCount, void> {
    for (const [term, { doc, cnt, checksum }] of this.#counts) yield { term, doc, cnt, checksum }
    this.#counts.clear()
  }
}
