interface Waiting<Item, Outcome> {
  item: Item
  since: number
  resolve: (outcome: Outcome) => void
  reject: (reason: unknown) => void
}

/** How a group commit batches. */
export interface BatcherOptions {
  /** Batches under way at once. */
  concurrency: number
  /** Items that make a batch worth sending beside another; fewer wait for the end of one. 1 unless given. */
  minConcurrentBatch?: number
  /** Items in one batch at most; bounds the memory and the duration of a transaction. */
  maxBatch: number
}

/**
 * Group commit: what arrives while a commit is under way shares the next one, so that one sync to disk covers
 * many items under load while a lone item never waits for a timer.
 * (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984.)
 */
export class Batcher<Item, Outcome> {
  readonly #commit: (batch: Item[], waitedMs: number) => Promise<Outcome[]>
  readonly #options: BatcherOptions
  #waiting: Waiting<Item, Outcome>[] = []
  #underWay = 0

  /**
   * @param commit stores a batch, all or nothing, and returns one outcome an item, in order; is called with the
   *   milliseconds that the oldest item has waited.
   */
  constructor(
    commit: (batch: Item[], waitedMs: number) => Promise<Outcome[]>,
    options: BatcherOptions,
  ) {
    this.#commit = commit
    this.#options = options
  }

  /** Items that wait for their commit to begin. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Resolves with the item's outcome once its batch is committed; rejects with the batch's error. */
  append(item: Item): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, since: performance.now(), resolve, reject })
      this.#next()
    })
  }

  #next(): void {
    const { concurrency, maxBatch, minConcurrentBatch = 1 } = this.#options
    if (this.#waiting.length === 0 || this.#underWay >= concurrency) return
    if (this.#underWay > 0 && this.#waiting.length < Math.min(minConcurrentBatch, maxBatch)) return
    const batch = this.#waiting.splice(0, maxBatch)
    this.#underWay++
    void this.#run(batch)
  }

  async #run(batch: Waiting<Item, Outcome>[]): Promise<void> {
    const started = performance.now()
    try {
      const outcomes = await this.#commit(
        batch.map(({ item }) => item),
        started - (batch[0]?.since ?? started),
      )
      batch.forEach(({ resolve, reject }, index) => {
        const outcome = outcomes[index]
        if (outcome === undefined) reject(new Error('the store told no outcome of this item'))
        else resolve(outcome)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      this.#underWay--
      this.#next()
    }
  }
}
