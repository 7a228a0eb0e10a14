import Database from 'better-sqlite3'

/** Between two tries, in milliseconds. */
const PAUSE_MS = 5

/** What is waited on is never told. */
const NOTHING = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))

/** Whether it failed because another connection holds a lock. */
export function isLocked(error: unknown): boolean {
  return error instanceof Database.SqliteError && /^SQLITE_(BUSY|LOCKED)/.test(error.code)
}

/**
 * Waits for a lock that another program holds, but not anew for every call: once the database has been locked for
 * long, the next call fails at once rather than after all calls before it have waited in turn.
 */
export class BusyRetry {
  readonly #commits: () => unknown
  #lockedSince: number | undefined
  #seenCommits: unknown

  /** @param commits returns a value that changes with every commit of another connection: it had the lock, and let go. */
  constructor(commits: () => unknown = () => undefined) {
    this.#commits = commits
  }

  /** Milliseconds for which one lock has been held, as far as calls have met it. */
  get lockedMs(): number {
    return this.#lockedSince === undefined ? 0 : performance.now() - this.#lockedSince
  }

  /**
   * Runs the work, again while it meets a lock, until the lock is held, or the call has waited, for longer than the
   * patience.
   * @param patienceMs 0 tries once, which takes as long as SQLite's own busy timeout.
   * @throws SqliteError when the patience is over.
   */
  run<Result>(patienceMs: number, work: () => Result): Result {
    const started = performance.now()
    for (;;) {
      try {
        const result = work()
        this.#lockedSince = undefined
        return result
      } catch (error) {
        if (!isLocked(error)) throw error
        this.#noteLocked()
        const waited = performance.now() - started
        if (Math.max(this.lockedMs, waited) >= patienceMs) throw error
        // Not every lock is one that SQLite waits for.
        Atomics.wait(NOTHING, 0, 0, PAUSE_MS)
      }
    }
  }

  #noteLocked(): void {
    const commits = this.#commits()
    if (this.#lockedSince === undefined || commits !== this.#seenCommits) {
      this.#lockedSince = performance.now()
    }
    this.#seenCommits = commits
  }
}
