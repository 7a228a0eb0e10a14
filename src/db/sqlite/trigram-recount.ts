import { indexedText } from './trigrams.ts'

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

/** How many texts have a term, and how often they have it. */
export interface TermCount {
  term: string
  doc: number
  cnt: number
}

/** Counts trigrams over texts, in memory that is bounded by handing over what was counted now and then. */
export class TrigramRecount {
  readonly #counts = new Map<string, { doc: number; cnt: number; last: number }>()
  #texts = 0

  /** Counts a text. @returns how many trigrams it has. */
  add(text: string): number {
    const trigrams = trigramsOf(indexedText(text))
    this.#texts++
    for (const term of trigrams) {
      const count = this.#counts.get(term)
      if (!count) {
        this.#counts.set(term, { doc: 1, cnt: 1, last: this.#texts })
        continue
      }
      count.cnt++
      if (count.last !== this.#texts) count.doc++
      count.last = this.#texts
    }
    return trigrams.length
  }

  /** How many different terms it holds. */
  get size(): number {
    return this.#counts.size
  }

  /** What was counted since it was last asked for. */
  *take(): Generator<TermCount, void> {
    for (const [term, { doc, cnt }] of this.#counts) yield { term, doc, cnt }
    this.#counts.clear()
  }
}
