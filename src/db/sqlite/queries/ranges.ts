import { build, compile, type Placeholders } from './compile.ts'
import { checkCancelled, contains, eb, unindexed } from './expressions.ts'

/** `candidates` is an FTS5 query for rows that have every trigram of the phrase; `first` is a rowid. */
type CandidateParameters = { candidates: string; first: number }

/** Rows of the trigram index from a rowid on that have every trigram of a phrase. */
function candidatesFrom({ candidates, first }: Placeholders<CandidateParameters>) {
  return build
    .selectFrom('trigrams')
    .where('trigrams.trigrams', 'match', candidates)
    .where('trigrams.rowid', '>=', rowid(first))
    .where(checkCancelled)
}

/**
 * Casts a bound on rowids to an integer.
 * better-sqlite3 binds numbers as reals, which FTS5 ignores as bounds.
 */
function rowid(value: Placeholders<{ value: number }>['value']) {
  return eb.cast<number>(value, 'integer')
}

/** The statements that divide the trigram index into ranges for a search. */
export const rangeQueries = {
  /** The first candidate from a rowid on, after `skip` others. */
  candidate: compile((p: Placeholders<CandidateParameters & { skip: number }>) =>
    candidatesFrom(p).select('trigrams.rowid').orderBy('trigrams.rowid').limit(1).offset(p.skip),
  ),
  /** The last row of a range whose text contains the needle, or null. */
  lastMatch: compile((p: Placeholders<CandidateParameters & { last: number; q: string }>) =>
    candidatesFrom(p)
      .crossJoin('messages')
      // Without the plus SQLite reads in descending order, which takes FTS5 ten times as long.
      .select(eb.fn.max<number | null>(unindexed<number>('trigrams.rowid')).as('rowid'))
      .where('trigrams.rowid', '<=', rowid(p.last))
      .whereRef('messages.seq', '=', 'trigrams.rowid')
      .where(contains(p)),
  ),
}
