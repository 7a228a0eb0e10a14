interface Window {
  count: number
  /** When it ends, on the clock of `count`. */
  end: number
}

/** Counts events by key in fixed windows, in memory bounded to the keys counted last. */
export class RateLimiter {
  readonly #windows = new Map<string, Window>()
  readonly #max: number
  readonly #windowMs: number
  readonly #maxKeys: number

  constructor(max: number, { windowMs, maxKeys }: { windowMs: number; maxKeys: number }) {
    this.#max = max
    this.#windowMs = windowMs
    this.#maxKeys = maxKeys
  }

  /**
   * Counts an event.
   * @param now milliseconds on a clock that is never set.
   * @returns the seconds until the key's window ends if it has had more than the maximum, else undefined.
   */
  count(key: string, now = performance.now()): number | undefined {
    let window = this.#windows.get(key)
    if (!window || window.end <= now) window = { count: 0, end: now + this.#windowMs }
    window.count++
    // A map keeps the order of insertion: its first key is the one counted longest ago.
    this.#windows.delete(key)
    this.#windows.set(key, window)
    if (this.#windows.size > this.#maxKeys) {
      for (const oldest of this.#windows.keys()) {
        this.#windows.delete(oldest)
        break
      }
    }
    return window.count > this.#max ? Math.ceil((window.end - now) / 1000) : undefined
  }
}
