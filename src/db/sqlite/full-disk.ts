import { isDiskFull } from './errors.ts'

/**
 * Bytes that a disk that was full must accept before it counts as writable.
 * A small write can succeed where an append fails, because it may overwrite part of the write-ahead log.
 */
const REQUIRED_BYTES = 4 * 1024 * 1024

/** Remembers that the disk was full, until a write of `REQUIRED_BYTES` has succeeded. */
export class FullDisk {
  readonly #fill: (text: string) => void
  #full = false

  /** @param fill commits a text to a place where the next one overwrites it. */
  constructor(fill: (text: string) => void) {
    this.#fill = fill
  }

  /** Runs a write, and remembers if the disk is full. @throws what the write throws. */
  observe<Result>(write: () => Result): Result {
    try {
      return write()
    } catch (error) {
      if (isDiskFull(error)) this.#full = true
      throw error
    }
  }

  /** Runs a write that reads do not depend on: a full disk is remembered and not thrown. */
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
