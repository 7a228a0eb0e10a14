import type { Database } from 'better-sqlite3'
import type { senderRunQueries } from './queries/sender-runs.ts'
import type { SenderRuns } from './sender-runs.ts'
import type { Prepared } from './statement.ts'

/** Entries of the sender index that one step moves or deletes: about 3 ms. */
const ENTRIES = 1000

/**
 * Entries to move or delete for each indexed message: with runs of 2,000 messages merged by eights, a message is moved and
 * deleted once for each of five levels in 60 million messages.
 */
const ENTRIES_PER_MESSAGE = 12

/** Pages of the trigram index that one step writes: about 4 ms. */
const PAGES = 32

/** Pages of the trigram index to write for each indexed message. */
const PAGES_PER_MESSAGE = 0.25

/**
 * Merges the runs of the sender index and the segments of the trigram index, in steps that are short enough to run
 * between two appends. Indexing adds a debt of work, so that merges keep up with it and never do all at once.
 */
export class IndexMaintenance {
  readonly #runs: SenderRuns
  readonly #mergeTrigrams: () => boolean
  #entries = 0
  #pages = 0
  /** Whether there may be work beyond the debt. */
  isDue = true

  constructor(runs: SenderRuns, query: Prepared<typeof senderRunQueries>, database: Database) {
    this.#runs = runs
    const changes = database.prepare<[], number>('select total_changes()').pluck()
    this.#mergeTrigrams = () => {
      const before = changes.get() ?? 0
      query.mergeTrigrams.run({ pages: PAGES })
      // FTS5 changes at least two rows if it merges anything: https://sqlite.org/fts5.html#the_merge_command
      return (changes.get() ?? 0) - before >= 2
    }
  }

  /** Adds the debt of indexed messages. */
  add(messages: number): void {
    this.#entries += messages * ENTRIES_PER_MESSAGE
    this.#pages += messages * PAGES_PER_MESSAGE
    this.isDue ||= messages > 0
  }

  /** Whether maintenance lags behind indexing. */
  get hasDebt(): boolean {
    return this.#entries > 0 || this.#pages > 0
  }

  /** Does one step, of whichever index has the larger share of its debt left. */
  step(): void {
    const entriesFirst = this.#entries / ENTRIES_PER_MESSAGE >= this.#pages / PAGES_PER_MESSAGE
    const didWork = entriesFirst
      ? this.#stepEntries() || this.#stepPages()
      : this.#stepPages() || this.#stepEntries()
    if (!didWork) this.isDue = false
  }

  /** Does steps until there is no debt. */
  payDebt(): void {
    while (this.hasDebt) this.step()
  }

  #stepEntries(): boolean {
    const moved = this.#runs.advance(ENTRIES)
    this.#entries = moved === 0 ? 0 : Math.max(0, this.#entries - moved)
    return moved > 0
  }

  #stepPages(): boolean {
    const merged = this.#mergeTrigrams()
    this.#pages = merged ? Math.max(0, this.#pages - PAGES) : 0
    return merged
  }
}
