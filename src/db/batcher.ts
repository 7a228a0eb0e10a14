/** Items of one call that wait for a batch, which all of them share. */
interface WaitingItems<Item, Outcome> {
  items: readonly Item[]
  /** When they were appended, in milliseconds of `performance.now()`. */
  since: number
  resolve: (outcomes: Outcome[]) => void
  reject: (reason: unknown) => void
}

/** Options of a batcher. */
export interface BatcherOptions {
  /** Maximum number of concurrent commits. */
  concurrency: number
  /** Number of waiting items that start a commit while another one is running, at least 1. */
  minConcurrentBatch: number
  /** Maximum number of items in a batch, unless one call appends more; bounds a transaction's duration. */
  maxBatch: number
}

/**
 * Group commit: items that arrive during a commit share the next one.
 * Under load one sync to disk covers many items; without load an item is committed at once. (DeWitt et al.,
 * "Implementation Techniques for Main Memory Database Systems", 1984.)
 */
export class Batcher<Item, Outcome> {
  readonly #commit: (batch: Item[], waitedMs: number) => Promise<Outcome[]>
  readonly #options: BatcherOptions
  readonly #listeners: (() => void)[] = []
  #waiting: WaitingItems<Item, Outcome>[] = []
  #waitingItems = 0
  #running = 0

  /**
   * Creates a batcher.
   * @param commit stores a batch, all or nothing, and returns the outcome of each item in order. It is called with the
   *   batch and the milliseconds that the oldest item has waited.
   */
  constructor(
    commit: (batch: Item[], waitedMs: number) => Promise<Outcome[]>,
    options: BatcherOptions,
  ) {
    this.#commit = commit
    this.#options = options
  }

  /** Number of items whose commit has not started. */
  get waiting(): number {
    return this.#waitingItems
  }

  /**
   * Appends items, all of which are committed in one batch.
   * Resolves with the outcome of each item in order when the batch is committed; rejects if the batch fails.
   */
  append(items: readonly Item[]): Promise<Outcome[]> {
    if (items.length === 0) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      this.#waiting.push({ items, since: performance.now(), resolve, reject })
      this.#waitingItems += items.length
      this.#startNext()
    })
  }

  /** Registers a listener to be called after each commit. */
  onCommitted(listener: () => void): void {
    this.#listeners.push(listener)
  }

  #startNext(): void {
    const { concurrency, maxBatch, minConcurrentBatch } = this.#options
    if (this.#waiting.length === 0 || this.#running >= concurrency) return
    if (this.#running > 0 && this.#waitingItems < Math.min(minConcurrentBatch, maxBatch)) return
    this.#running++
    void this.#run(this.#takeBatch(maxBatch))
  }

  /** Removes the oldest waiting items that fit into one batch; at least those of one call. */
  #takeBatch(maxBatch: number): WaitingItems<Item, Outcome>[] {
    let count = 0
    let size = 0
    for (const { items } of this.#waiting) {
      if (count > 0 && size + items.length > maxBatch) break
      size += items.length
      count++
    }
    this.#waitingItems -= size
    return this.#waiting.splice(0, count)
  }

  async #run(batch: WaitingItems<Item, Outcome>[]): Promise<void> {
    const started = performance.now()
    try {
      const items = batch.flatMap(({ items }) => items)
      const outcomes = await this.#commit(items, started - (batch[0]?.since ?? started))
      if (outcomes.length !== items.length) {
        throw new Error(`the store returned ${outcomes.length} outcomes for ${items.length} items`)
      }
      let start = 0
      for (const { items, resolve } of batch) {
        resolve(outcomes.slice(start, start + items.length))
        start += items.length
      }
      for (const listener of this.#listeners) listener()
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      this.#running--
      this.#startNext()
    }
  }
}
