import { isLocked } from './errors.ts'

/** Milliseconds between two attempts. */
const PAUSE_MS = 5

/** A shared integer that is never notified; waiting on it blocks the thread until the timeout. */
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))

/**
 * Retries work while another program holds a lock.
 * The timeout covers successive calls: once the database has been locked for longer than it, further calls fail at once
 * instead of each waiting for the timeout.
 */
export class BusyRetry {
  readonly #commits: () => unknown
  #lockedSince: number | undefined
  #seenCommits: unknown

  /** @param commits returns a value that changes when another connection commits. */
  constructor(commits: () => unknown = () => undefined) {
    this.#commits = commits
  }

  /** Milliseconds since the database was first found locked; 0 if the last call succeeded. */
  get lockedMs(): number {
    return this.#lockedSince === undefined ? 0 : performance.now() - this.#lockedSince
  }

  /**
   * Runs the work, and repeats it while another program holds a lock.
   * Gives up when the lock has been held, or this call has waited, for `timeoutMs`. A timeout of 0 runs the work once,
   * which waits for SQLite's own busy timeout.
   * @throws SqliteError when the timeout has passed.
   */
  run<Result>(timeoutMs: number, work: () => Result): Result {
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
        if (Math.max(this.lockedMs, waited) >= timeoutMs) throw error
        // SQLite's busy timeout does not apply to every lock.
        Atomics.wait(NEVER_NOTIFIED, 0, 0, PAUSE_MS)
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
