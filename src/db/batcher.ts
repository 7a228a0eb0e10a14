/** An item that waits for its batch. */
interface WaitingItem<Item, Outcome> {
  item: Item
  /** When it was appended, in milliseconds of `performance.now()`. */
  since: number
  resolve: (outcome: Outcome) => void
  reject: (reason: unknown) => void
}

/** How items are batched. */
export interface BatcherOptions {
  /** Maximum number of concurrent commits. */
  concurrency: number
  /** Number of waiting items that start a commit while another one is running, at least 1. */
  minConcurrentBatch: number
  /** Maximum number of items in a batch; bounds the memory and the duration of a transaction. */
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
  #waiting: WaitingItem<Item, Outcome>[] = []
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
    return this.#waiting.length
  }

  /** Resolves with the outcome of the item when its batch is committed; rejects if the batch fails. */
  append(item: Item): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, since: performance.now(), resolve, reject })
      this.#startNext()
    })
  }

  #startNext(): void {
    const { concurrency, maxBatch, minConcurrentBatch } = this.#options
    if (this.#waiting.length === 0 || this.#running >= concurrency) return
    if (this.#running > 0 && this.#waiting.length < Math.min(minConcurrentBatch, maxBatch)) return
    const batch = this.#waiting.splice(0, maxBatch)
    this.#running++
    void this.#run(batch)
  }

  async #run(batch: WaitingItem<Item, Outcome>[]): Promise<void> {
    const started = performance.now()
    try {
      const outcomes = await this.#commit(
        batch.map(({ item }) => item),
        started - (batch[0]?.since ?? started),
      )
      batch.forEach(({ resolve, reject }, index) => {
        const outcome = outcomes[index]
        if (outcome === undefined) reject(new Error('the store returned no outcome for this item'))
        else resolve(outcome)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      this.#running--
      this.#startNext()
    }
  }
}
