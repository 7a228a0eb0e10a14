import type { rangeQueries } from './queries/ranges.ts'
import type { Prepared } from './statement.ts'
import type { IndexSearch } from './trigrams.ts'

/** The first and the last rowid of a part of the trigram index, both inclusive. */
type RowidRange = [first: number, last: number]

/** The lowest possible rowid; adopted rows may have negative ones. */
const FIRST = Number.MIN_SAFE_INTEGER

/** Number of rows at the end of a slice that are searched first for its last match. */
const TAIL = 4

/** Estimates for a phrase, and the ranges to search. */
export interface MatchRanges {
  /** Whether the index has no more candidates than may be compared in one step. */
  few: boolean
  /** Estimated number of rows that have every trigram of the phrase. */
  candidates: number
  /** Returns ranges of rowids that together contain every match up to the watermark. */
  ranges: () => RowidRange[]
}

/**
 * Prepares the division of the trigram index into ranges that contain all matches of a phrase.
 * FTS5 advances from one match to the next in a single step, which cannot be cancelled. The step compares all rows in
 * between that have the same trigrams in other positions, even those beyond an upper bound on the rowid. So each range
 * has a bounded number of rows, and ends with a match, at which FTS5 returns. The last match of a slice is found by
 * comparing texts, which can be cancelled at every row.
 */
export function prepareMatchRanges(
  queries: Prepared<typeof rangeQueries>,
): (search: IndexSearch & { q: string }, watermark: number) => MatchRanges {
  return function matchRanges({ q, candidates, slice }, watermark) {
    const skipped = queries.candidate.get({ candidates, first: FIRST, skip: slice })
    // The trigram index may be ahead of the watermark.
    if (!skipped) return { few: true, candidates: slice, ranges: () => [[FIRST, watermark]] }

    /** Returns the rowid of the last match in a slice. Usually it is one of the last rows. */
    function lastMatch(first: number, last: number): number | undefined {
      for (let rows = TAIL; ; rows *= TAIL) {
        const from = Math.max(first, last - rows + 1)
        const match = queries.lastMatch.get({ candidates, q, first: from, last })?.rowid
        if (typeof match === 'number') return match
        if (from === first) return undefined
      }
    }

    function firstCandidate(first: number): number | undefined {
      const rowid = queries.candidate.get({ candidates, first, skip: 0 })?.rowid
      return rowid === undefined || rowid > watermark ? undefined : rowid
    }

    function ranges(): RowidRange[] {
      const found: RowidRange[] = []
      for (let first = firstCandidate(FIRST); first !== undefined; ) {
        const end = Math.min(first + slice, watermark + 1)
        const last = lastMatch(first, end - 1)
        if (last !== undefined) found.push([first, last])
        // Where matches are dense, the next slice starts at the next row, which needs no query.
        const dense = last !== undefined && last >= end - TAIL && last < watermark
        first = dense ? end : firstCandidate(end)
      }
      return found
    }
    // Assumes that candidates are as dense everywhere as at the beginning, from the first one on: before it, messages
    // may have been removed.
    const first = firstCandidate(FIRST) ?? skipped.rowid
    const density = slice / Math.max(slice, skipped.rowid - first)
    return { few: false, candidates: density * Math.max(0, watermark - first), ranges }
  }
}
