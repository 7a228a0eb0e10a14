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
 * long, whoever asks next is told so at once rather than after everybody before it has waited in turn.
 */
export class LockPatience {
  #lockedSince: number | undefined

  /**
   * Runs the work, again while it meets a lock, until the lock is held for longer than the patience.
   * @param patienceMs 0 tries once, which takes as long as SQLite's own busy timeout.
   * @throws SqliteError when the patience is over.
   */
  run<Result>(patienceMs: number, work: () => Result): Result {
    for (;;) {
      try {
        const result = work()
        this.#lockedSince = undefined
        return result
      } catch (error) {
        if (!isLocked(error)) throw error
        this.#lockedSince ??= performance.now()
        if (performance.now() - this.#lockedSince >= patienceMs) throw error
        // Not every lock is one that SQLite waits for.
        Atomics.wait(NOTHING, 0, 0, PAUSE_MS)
      }
    }
  }
}
