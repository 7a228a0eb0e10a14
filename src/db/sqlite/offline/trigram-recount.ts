import { indexedText } from '../trigrams.ts'

const SURROGATE = /[\ud800-\udfff]/

/** Every three code points in a row. */
function trigramsOf(text: string): string[] {
  const trigrams: string[] = []
  // Where every code point is one unit, cutting is many times as fast.
  if (SURROGATE.test(text)) {
    const points = Array.from(text)
    for (let at = 0; at + 3 <= points.length; at++) {
      trigrams.push(points.slice(at, at + 3).join(''))
    }
  } else {
    for (let at = 0; at + 3 <= text.length; at++) trigrams.push(text.slice(at, at + 3))
  }
  return trigrams
}

/** A prime below 2^31, so that products of a row and a place stay exact. */
export const CHECKSUM_MODULUS = 2_147_483_647

/** How many texts have a term, how often they have it, and a checksum of the rows and places where they do. */
export interface TermCount {
  term: string
  doc: number
  cnt: number
  checksum: number
}

/** Counts trigrams over texts, in memory that is bounded by handing over what was counted now and then. */
export class TrigramRecount {
  readonly #counts = new Map<string, { doc: number; cnt: number; checksum: number; last: number }>()

  /** Counts the text of a row. @returns how many trigrams it has. */
  add(row: number, text: string): number {
    const trigrams = trigramsOf(indexedText(text))
    for (const [at, term] of trigrams.entries()) {
      const place = (row * (at + 1)) % CHECKSUM_MODULUS
      const count = this.#counts.get(term)
      if (!count) {
        this.#counts.set(term, { doc: 1, cnt: 1, checksum: place, last: row })
        continue
      }
      count.cnt++
      if (count.last !== row) count.doc++
      count.last = row
      count.checksum = (count.checksum + place) % CHECKSUM_MODULUS
    }
    return trigrams.length
  }

  /** How many different terms it holds. */
  get size(): number {
    return this.#counts.size
  }

  /** What was counted since it was last asked for. */
  *take(): Generator<TermCount, void> {
    for (const [term, { doc, cnt, checksum }] of this.#counts) yield { term, doc, cnt, checksum }
    this.#counts.clear()
  }
}
