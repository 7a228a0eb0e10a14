import type { Database } from 'better-sqlite3'
import { enableSecureDelete } from './connection.ts'
import type { indexingQueries } from './queries/indexing.ts'
import type { purgeQueries } from './queries/purge.ts'
import type { Prepared } from './statement.ts'
import { prepareTrigramMerge, type TrigramMerge } from './trigram-merge.ts'

/** Pages of 4 KiB that a step writes: about 10 ms. */
const PAGES_PER_STEP = 128

/** Number of free pages that are overwritten in the last step: the service frees a few at any time. */
const LAST_PAGES = 16

/** Bytes of a page that a blob occupies. */
const BYTES_PER_PAGE = 4092

/**
 * Overwrites what removed messages left in the file, in steps: in the trigram index and in free pages.
 * FTS5 only marks removed rows, and omits them when it merges their segments. SQLite does not overwrite free pages, so
 * zeros are stored in all of them. The caller runs each step in a transaction.
 */
export class Purge {
  readonly #database: Database
  readonly #query: Prepared<typeof purgeQueries>
  readonly #mergeTrigrams: TrigramMerge
  #step = this.#begin

  constructor(
    database: Database,
    query: Prepared<typeof purgeQueries>,
    index: Prepared<typeof indexingQueries>,
  ) {
    this.#database = database
    this.#query = query
    this.#mergeTrigrams = prepareTrigramMerge(database, index)
  }

  /** Runs the next step. @returns whether there are further steps. */
  step(): boolean {
    return this.#step()
  }

  /** Begins again; to be called when the log was emptied after the last step. */
  reset(): void {
    this.#step = this.#begin
  }

  #begin(): boolean {
    enableSecureDelete(this.#database)
    this.#mergeTrigrams(-PAGES_PER_STEP)
    this.#step = this.#mergeMore
    return true
  }

  #mergeMore(): boolean {
    if (!this.#mergeTrigrams(PAGES_PER_STEP)) this.#step = this.#occupy
    return true
  }

  #occupy(): boolean {
    const free = Number(this.#database.pragma('freelist_count', { simple: true }))
    const isLast = free <= LAST_PAGES
    // The last blob fills all that is left; the others leave a page for the tree of the table.
    const pages = isLast ? free : Math.min(free, PAGES_PER_STEP) - 1
    if (pages > 0) this.#query.occupy.run({ bytes: pages * BYTES_PER_PAGE })
    if (isLast) this.#step = this.#release
    return true
  }

  #release(): boolean {
    return this.#query.release.run() > 0
  }
}
