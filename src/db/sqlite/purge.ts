import type { Database } from 'better-sqlite3'
import { overwriteDeleted } from './connection.ts'
import type { purgeQueries } from './queries/purge.ts'
import type { Prepared } from './statement.ts'

/** Pages of 4 KiB that a step writes: about 10 ms. */
const PAGES_PER_STEP = 128

/** Free pages that may remain: the service uses and frees a few at any time. */
const IGNORED_PAGES = 16

/** Bytes of a page that a blob occupies. */
const BYTES_PER_PAGE = 4092

/**
 * Overwrites what removed messages left in the file, in steps: in the trigram index and in free pages.
 * FTS5 only marks removed rows, and omits them when it merges their segments. SQLite does not overwrite free pages, so
 * zeros are stored in all of them. The caller runs each step in a transaction.
 */
export class Purge {
  readonly #query: Prepared<typeof purgeQueries>
  readonly #changes: () => number
  readonly #freePages: () => number
  #step: () => boolean

  constructor(database: Database, query: Prepared<typeof purgeQueries>) {
    this.#query = query
    const changes = database.prepare<[], number>('select total_changes()').pluck()
    this.#changes = () => changes.get() ?? 0
    this.#freePages = () => Number(database.pragma('freelist_count', { simple: true }))
    this.#step = () => {
      overwriteDeleted(database)
      return this.#beginMerge()
    }
  }

  /** Runs the next step. @returns whether there are further steps. */
  step(): boolean {
    return this.#step()
  }

  #beginMerge(): boolean {
    this.#query.mergeTrigrams.run({ pages: -PAGES_PER_STEP })
    this.#step = () => this.#merge()
    return true
  }

  #merge(): boolean {
    const before = this.#changes()
    this.#query.mergeTrigrams.run({ pages: PAGES_PER_STEP })
    // FTS5 changes at least two rows if it merges anything: https://sqlite.org/fts5.html#the_merge_command
    if (this.#changes() - before < 2) this.#step = () => this.#occupy()
    return true
  }

  #occupy(): boolean {
    const pages = Math.min(this.#freePages(), PAGES_PER_STEP)
    if (pages <= IGNORED_PAGES) this.#step = () => this.#release()
    else this.#query.occupy.run({ bytes: (pages - 1) * BYTES_PER_PAGE })
    return true
  }

  #release(): boolean {
    return this.#query.release.run() > 0
  }
}
