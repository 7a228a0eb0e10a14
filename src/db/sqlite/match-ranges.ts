import type { rangeQueries } from './queries/ranges.ts'
import type { Prepared } from './statement.ts'
import type { IndexSearch } from './trigrams.ts'

/** The first and the last rowid of a part of the trigram index, both inclusive. */
export type RowidRange = [first: number, last: number]

/** Adopted rows keep their rowids, which may be negative. */
const ALL: RowidRange = [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]

/** Rows of a slice in which its last match is looked for first. */
const TAIL = 4

/** What is known of a phrase before it is looked up. */
export interface MatchRanges {
  /** Whether the index holds no more candidates than may be compared in one step. */
  few: boolean
  /** Estimated number of rows that have every trigram of the phrase. */
  candidates: number
  /** Returns the ranges that together hold every match. */
  ranges: () => RowidRange[]
}

/**
 * Prepares the division of the index into ranges that together hold every match of a phrase.
 *
 * FTS5 goes from one match to the next in a single step that cannot be cancelled, however many rows with the same
 * trigrams in other places lie between, and whatever the upper bound on the rowid. So each range has a bounded number of
 * rows and ends with a match, at which FTS5 returns; rows after the last match of a slice are compared by their texts.
 */
export function prepareMatchRanges(
  find: Prepared<typeof rangeQueries>,
): (search: IndexSearch & { q: string }, watermark: number) => MatchRanges {
  return function matchRanges({ q, candidates, slice }, watermark) {
    const skipped = find.candidate.get({ candidates, first: ALL[0], skip: slice })
    if (!skipped) return { few: true, candidates: slice, ranges: () => [ALL] }

    /** The last match in a slice; most often one of the last rows is. */
    function lastMatch(first: number, last: number): number | undefined {
      for (let rows = TAIL; ; rows *= TAIL) {
        const from = Math.max(first, last - rows + 1)
        const match = find.lastMatch.get({ candidates, q, first: from, last })?.rowid
        if (typeof match === 'number') return match
        if (from === first) return undefined
      }
    }

    function ranges(): RowidRange[] {
      const found: RowidRange[] = []
      const next = (from: number) => find.candidate.get({ candidates, first: from, skip: 0 })?.rowid
      for (let first = next(ALL[0]); first !== undefined; ) {
        const end = first + slice
        const last = lastMatch(first, end - 1)
        if (last !== undefined) found.push([first, last])
        // Where matches are dense, the next row is as good a beginning as the next candidate, and cheaper to find.
        first = last !== undefined && last >= end - TAIL && last < watermark ? end : next(end)
      }
      return found
    }
    // As dense everywhere as at the beginning.
    const share = slice / Math.max(slice, skipped.rowid)
    return { few: false, candidates: share * watermark, ranges }
  }
}
