import { type RawBuilder, sql } from 'kysely'
import { build, compile, parameter } from './compile.ts'
import { alive, contains } from './page.ts'

/** A bound on rowids; FTS5 ignores one that is no integer, as which JavaScript's numbers arrive. */
function rowid(name: string): RawBuilder<number> {
  return sql<number>`cast(${parameter(name)} as integer)`
}

/** Rows of the index that have every trigram of a phrase. */
const candidates = build
  .selectFrom('trigrams')
  .where(sql<boolean>`${sql.ref('trigrams')} match ${parameter('candidates')}`)
  .where('trigrams.rowid', '>=', rowid('first'))
  .where((eb) => eb.and([alive]))

/** What finds the ranges in which a phrase is looked up. */
export const rangeQueries = {
  /** The first candidate from a rowid on, after as many are skipped. */
  candidate: compile(
    candidates
      .select('trigrams.rowid')
      .orderBy('trigrams.rowid')
      .limit(1)
      .offset(parameter<number>('skip')),
  ),
  /** The last row of a range whose text contains the needle; null for none. */
  lastMatch: compile(
    candidates
      .crossJoin('messages')
      // The plus keeps SQLite from reading in descending order, which takes FTS5 ten times as long.
      .select(sql<number | null>`max(+${sql.ref('trigrams.rowid')})`.as('rowid'))
      .where('trigrams.rowid', '<=', rowid('last'))
      .whereRef('messages.seq', '=', 'trigrams.rowid')
      .where((eb) => eb.and([contains])),
  ),
}
