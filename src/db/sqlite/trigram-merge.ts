import type { Database } from 'better-sqlite3'
import type { indexingQueries } from './queries/indexing.ts'
import type { Prepared } from './statement.ts'

/**
 * Merges segments of the trigram index until about this many pages are written.
 * A negative number begins a merge of all segments. @returns whether anything was merged.
 */
export type TrigramMerge = (pages: number) => boolean

/** Prepares merges of the trigram index; the caller runs each in a transaction. */
export function prepareTrigramMerge(
  database: Database,
  { mergeTrigrams }: Prepared<typeof indexingQueries>,
): TrigramMerge {
  const changes = database.prepare<[], number>('select total_changes()').pluck()
  return (pages) => {
    const before = changes.get() ?? 0
    mergeTrigrams.run({ pages })
    // FTS5 changes at least two rows if it merges anything: https://sqlite.org/fts5.html#the_merge_command
    return (changes.get() ?? 0) - before >= 2
  }
}
