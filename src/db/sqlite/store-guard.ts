import {
  StoreCorruptError,
  StoreDetachedError,
  type StoreUnavailableError,
} from '../message-store.ts'
import { type DatabaseFiles, FileGuard } from './files.ts'

/**
 * Rejects all calls after a failure that requires the store to be reopened.
 * Such a failure is corruption, or a file that was removed or replaced.
 */
export class StoreGuard {
  readonly #onFailure: ((failure: StoreUnavailableError) => void) | undefined
  #files: FileGuard | undefined
  #failure: StoreUnavailableError | undefined

  /** @param onFailure called once, with the failure. */
  constructor(onFailure: ((failure: StoreUnavailableError) => void) | undefined) {
    this.#onFailure = onFailure
  }

  /** Starts to check the files of the database. */
  watch(files: DatabaseFiles): void {
    this.#files = new FileGuard(files)
  }

  /**
   * Calls `work`, and checks the files before and after it.
   * The result of a read during which the files were replaced may be wrong.
   * @throws StoreCorruptError, StoreDetachedError, or what `work` throws.
   */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#failure) throw this.#failure
    try {
      this.#files?.assertShared()
      const result = await work()
      this.#files?.assertShared()
      return result
    } catch (error) {
      const failure = this.#detachedError() ?? error
      const isLasting =
        failure instanceof StoreCorruptError || failure instanceof StoreDetachedError
      if (isLasting && !this.#failure) {
        this.#failure = failure
        this.#onFailure?.(failure)
      }
      throw failure
    }
  }

  /** Whether the write-ahead log or the shared memory was removed or replaced. */
  get detached(): boolean {
    return this.#detachedError() !== undefined
  }

  #detachedError(): StoreDetachedError | undefined {
    try {
      this.#files?.assertShared()
    } catch (error) {
      if (error instanceof StoreDetachedError) return error
    }
    return undefined
  }
}
