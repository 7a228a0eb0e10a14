import type { SenderRuns } from './sender-runs.ts'
import type { TrigramMerge } from './trigram-merge.ts'

/** Entries of the sender index that one step moves or deletes: about 2 ms. */
const ENTRIES_PER_STEP = 500

/**
 * Entries to move or delete for each indexed message.
 * A merge moves each of its entries once, and later deletes it from the source. With runs of 1,000 messages and a fan-in
 * of 8, 30 million messages have five levels of merges, so 10 entries for each message; the rest is a margin.
 */
const ENTRIES_PER_MESSAGE = 12

/** Pages of the trigram index that one step writes: about 2 ms. */
const PAGES_PER_STEP = 16

/** Pages of the trigram index to write for each indexed message. */
const PAGES_PER_MESSAGE = 0.25

/** Debts above which maintenance is late: those of 16,000 messages. */
const LATE_ENTRIES = 16_000 * ENTRIES_PER_MESSAGE
const LATE_PAGES = 16_000 * PAGES_PER_MESSAGE

/**
 * Merges the runs of the sender index and the segments of the trigram index, in steps.
 * A step is short enough to run between two appends. Each indexed message adds to the debt, the amount of work to do,
 * and each step reduces it, so that merges keep up with indexing. The caller runs each call in a transaction.
 */
export class IndexMaintenance {
  readonly #runs: SenderRuns
  readonly #mergeTrigrams: TrigramMerge
  /** Entries of the sender index to move or delete. */
  #entryDebt = 0
  /** Pages of the trigram index to write. */
  #pageDebt = 0
  /** Whether there may be anything to merge or delete, even without debt. */
  isDue = true

  constructor(runs: SenderRuns, mergeTrigrams: TrigramMerge) {
    this.#runs = runs
    this.#mergeTrigrams = mergeTrigrams
  }

  /** Adds the debt of messages that were added to the sender index. */
  addEntries(messages: number): void {
    this.#entryDebt += messages * ENTRIES_PER_MESSAGE
    this.isDue ||= messages > 0
  }

  /** Adds the debt of messages that were added to the trigram index. */
  addTrigrams(messages: number): void {
    this.#pageDebt += messages * PAGES_PER_MESSAGE
    this.isDue ||= messages > 0
  }

  /** Whether maintenance lags behind indexing. */
  get hasDebt(): boolean {
    return this.#entryDebt > 0 || this.#pageDebt > 0
  }

  /** Whether maintenance lags so far behind that it must not be deferred. */
  get isLate(): boolean {
    return this.#entryDebt > LATE_ENTRIES || this.#pageDebt > LATE_PAGES
  }

  /** Runs one step for the index that lags by more messages; if it has no work, for the other. */
  step(): void {
    const entriesFirst = this.#entryDebt / ENTRIES_PER_MESSAGE >= this.#pageDebt / PAGES_PER_MESSAGE
    const didWork = entriesFirst
      ? this.#stepEntries() || this.#stepPages()
      : this.#stepPages() || this.#stepEntries()
    if (!didWork) this.isDue = false
  }

  /** Runs steps until there is no debt. */
  payDebt(): void {
    while (this.hasDebt) this.step()
  }

  #stepEntries(): boolean {
    const moved = this.#runs.advance(ENTRIES_PER_STEP)
    this.#entryDebt = moved === 0 ? 0 : Math.max(0, this.#entryDebt - moved)
    return moved > 0
  }

  #stepPages(): boolean {
    const merged = this.#mergeTrigrams(PAGES_PER_STEP)
    this.#pageDebt = merged ? Math.max(0, this.#pageDebt - PAGES_PER_STEP) : 0
    return merged
  }
}
