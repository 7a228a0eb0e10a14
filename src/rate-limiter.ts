interface Window {
  count: number
  /** End of the window, on the clock of `now`. */
  end: number
}

/** Counts events by key in fixed windows. Only the most recently counted keys are kept. */
export class RateLimiter {
  readonly #windows = new Map<string, Window>()
  readonly #max: number
  readonly #windowMs: number
  readonly #maxKeys: number

  /**
   * @param max events of a key per window.
   * @param maxKeys keys to keep; a new key replaces the least recently counted one.
   */
  constructor(max: number, { windowMs, maxKeys }: { windowMs: number; maxKeys: number }) {
    this.#max = max
    this.#windowMs = windowMs
    this.#maxKeys = maxKeys
  }

  /**
   * Counts an event of a key.
   * @param now milliseconds on a monotonic clock.
   * @returns the seconds until the key's window ends if the maximum is exceeded, otherwise undefined.
   */
  count(key: string, now = performance.now()): number | undefined {
    let window = this.#windows.get(key)
    if (!window || window.end <= now) window = { count: 0, end: now + this.#windowMs }
    window.count++
    // A Map iterates in insertion order, so its first key is the least recently counted one.
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
