import { isDiskFull } from './errors.ts'

/**
 * Bytes that a disk that was full must accept before it counts as writable.
 * A small write can succeed where an append fails, because it may overwrite part of the write-ahead log.
 */
const REQUIRED_BYTES = 4 * 1024 * 1024

/** Tracks whether the disk is full; after an error, a write of `REQUIRED_BYTES` must succeed. */
export class FullDisk {
  readonly #fill: (text: string) => void
  #full = false

  /** @param fill commits a text; each text replaces the previous one. */
  constructor(fill: (text: string) => void) {
    this.#fill = fill
  }

  /** Runs a write, and records whether the disk is full. @throws the error of the write. */
  observe<Result>(write: () => Result): Result {
    try {
      return write()
    } catch (error) {
      if (isDiskFull(error)) this.#full = true
      throw error
    }
  }

  /** Runs a write that reads do not depend on; a full disk is recorded instead of thrown. */
  tolerate(write: () => void): void {
    try {
      this.observe(write)
    } catch (error) {
      if (!this.#full) throw error
    }
  }

  /** Throws if the disk was full and still does not accept `REQUIRED_BYTES`. @throws SqliteError */
  assertWritable(): void {
    if (!this.#full) return
    this.#fill(' '.repeat(REQUIRED_BYTES))
    this.#full = false
  }
}
