import Database from 'better-sqlite3'

/**
 * What must fit on a disk that was full before it counts as having room, in bytes: a small write can succeed where an
 * append fails, as it may overwrite what is in the write-ahead log already.
 */
const ROOM = 4 * 1024 * 1024

/** Whether a write failed for want of room: SQLite tells ENOSPC, while quotas and limits are errors of writing. */
function isFull(error: unknown): boolean {
  return error instanceof Database.SqliteError && /^SQLITE_(FULL|IOERR)(_|$)/.test(error.code)
}

/** Remembers that a write failed for want of room until another one, as large, was made. */
export class FullDisk {
  readonly #fill: (text: string) => void
  #full = false

  /** @param fill commits a text in a place where the next one overwrites it. */
  constructor(fill: (text: string) => void) {
    this.#fill = fill
  }

  /** Runs the work and remembers when it meets a full disk. @throws what the work throws. */
  notice<Result>(work: () => Result): Result {
    try {
      return work()
    } catch (error) {
      if (isFull(error)) this.#full = true
      throw error
    }
  }

  /** Runs a write that is not needed to serve reads: a full disk is remembered, not thrown. */
  tolerate(work: () => void): void {
    try {
      this.notice(work)
    } catch (error) {
      if (!this.#full) throw error
    }
  }

  /** Once the disk was full, writes as much as there must be room for. @throws SqliteError when there is not. */
  assertRoom(): void {
    if (!this.#full) return
    this.#fill(' '.repeat(ROOM))
    this.#full = false
  }
}
