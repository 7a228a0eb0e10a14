import type { Database } from 'better-sqlite3'
import { IndexMaintenance } from './index-maintenance.ts'
import { type Indexing, prepareIndexing } from './indexing.ts'
import type { indexingQueries } from './queries/indexing.ts'
import type { senderRunQueries } from './queries/sender-runs.ts'
import { SenderRuns } from './sender-runs.ts'
import type { Prepared } from './statement.ts'
import { prepareTrigramMerge } from './trigram-merge.ts'

/**
 * Messages that one step adds to the trigram index: about 4 ms.
 * Larger steps delay appends; smaller steps cost more per message.
 */
const TRIGRAM_STEP = 250

/** Messages that one step adds to the counters and the sender index: about 9 ms. */
const COUNT_STEP = 1000

/**
 * Number of messages above the watermark beyond which an append waits for steps.
 * Every read processes these messages, at about 1 µs each.
 */
const MAX_BACKLOG = 4000

/** Default maximum of messages that one call of `catchUp` indexes. */
const CATCH_UP_STEP = 2000

/** Numbers of messages above the watermark of the counts, and above that of the trigram index. */
interface Backlog {
  readonly counts: number
  readonly trigrams: number
}

/**
 * Indexes messages after they were stored, in steps between appends.
 * The caller runs each call in a transaction, and restores `backlog` if it is rolled back.
 */
export class Indexer {
  backlog: Backlog = { counts: 0, trigrams: 0 }
  readonly #query: Prepared<typeof indexingQueries>
  readonly #index: Indexing
  readonly #maintenance: IndexMaintenance

  constructor(
    database: Database,
    query: Prepared<typeof indexingQueries>,
    runs: Prepared<typeof senderRunQueries>,
  ) {
    this.#query = query
    const senderRuns = new SenderRuns(runs)
    this.#index = prepareIndexing(query, senderRuns)
    this.#maintenance = new IndexMaintenance(senderRuns, prepareTrigramMerge(database, query))
  }

  /** Whether nothing is left to index or to merge. */
  get isSettled(): boolean {
    return this.backlog.counts === 0 && !this.#maintenance.isDue
  }

  /** Counts the messages above the watermarks. */
  recount(): void {
    const { watermark = 0, trigrams = 0, newest } = this.#query.progress.get() ?? {}
    const above = (mark: number) => Math.max(0, (newest ?? 0) - mark)
    this.backlog = { counts: above(watermark), trigrams: above(trigrams) }
  }

  /** Reads the last messages that the counters and the trigram index cover. */
  watermarks(): { watermark: number; trigrams: number } {
    const { watermark = 0, trigrams = 0 } = this.#query.progress.get() ?? {}
    return { watermark, trigrams }
  }

  /** Updates the backlog after a removal, and schedules the merges that drop removed rows from the trigram index. */
  noteRemoved(messages: number): void {
    if (messages === 0) return
    this.recount()
    this.#maintenance.addTrigrams(messages)
  }

  /** Adds appended messages to the backlog. */
  add(messages: number): void {
    const { counts, trigrams } = this.backlog
    this.backlog = { counts: counts + messages, trigrams: trigrams + messages }
  }

  /** Whether a step is worth its cost: enough messages wait for it, or merges lag behind indexing. */
  get isDue(): boolean {
    const { counts, trigrams } = this.backlog
    return trigrams >= TRIGRAM_STEP || counts - trigrams >= COUNT_STEP || this.#maintenance.hasDebt
  }

  /** Runs one step that is due, indexing first; if none is due, a smaller one. */
  step(): void {
    const { counts, trigrams } = this.backlog
    if (trigrams >= TRIGRAM_STEP) this.#addTrigrams(TRIGRAM_STEP)
    else if (counts - trigrams >= COUNT_STEP) this.#addCounts(COUNT_STEP)
    else if (this.#maintenance.hasDebt) this.#maintenance.step()
    else if (trigrams > 0) this.#addTrigrams(TRIGRAM_STEP)
    else if (counts > 0) this.#addCounts(COUNT_STEP)
    else this.#maintenance.step()
  }

  /**
   * Throttles appends; to be called before each.
   * Indexes until the backlog is at most `MAX_BACKLOG`, then runs one step of maintenance if that is late.
   */
  keepUp(): void {
    while (this.backlog.counts > MAX_BACKLOG) this.step()
    if (this.#maintenance.isLate) this.#maintenance.step()
  }

  /** Indexes at most `limit` messages, then runs maintenance until no debt is left. */
  catchUp(limit = CATCH_UP_STEP): void {
    this.#addTrigrams(limit)
    this.#addCounts(limit)
    this.#maintenance.payDebt()
  }

  #addTrigrams(limit: number): void {
    const added = this.#index.addTrigrams(limit)
    const { counts, trigrams } = this.backlog
    this.backlog = { counts, trigrams: added < limit ? 0 : Math.max(0, trigrams - added) }
    this.#maintenance.addTrigrams(added)
  }

  #addCounts(limit: number): void {
    const added = this.#index.addCounts(limit)
    const { counts, trigrams } = this.backlog
    this.backlog = {
      counts: added < limit ? trigrams : Math.max(trigrams, counts - added),
      trigrams,
    }
    this.#maintenance.addEntries(added)
  }
}
