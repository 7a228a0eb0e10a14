import { StoreUnavailableError } from '../message-store.ts'

/**
 * Milliseconds after which a call returns even if the check is still running.
 * Kubernetes probes time out after 1 s.
 */
const CALL_TIMEOUT_MS = 700

/**
 * Milliseconds after which a running check counts as failed.
 * It is slightly longer than an append waits for a lock.
 */
const CHECK_TIMEOUT_MS = 5000

/**
 * A readiness check that concurrent callers share.
 * The check is queued behind appends, which may wait for a lock of another process or for the disk. A call returns after
 * `CALL_TIMEOUT_MS`: it resolves if the check has run for less than `CHECK_TIMEOUT_MS` and there was no failure since
 * the last successful check; otherwise it rejects.
 */
export class SharedProbe {
  readonly #check: () => Promise<void>
  #failure: unknown
  #running: { since: number; outcome: Promise<void> } | undefined

  constructor(check: () => Promise<void>) {
    this.#check = check
  }

  /** Records a failure outside the check, such as of an append. */
  noteFailure(error: unknown): void {
    this.#failure = error
  }

  /**
   * Runs the check, or joins the running one.
   * @throws the error of the check, or StoreUnavailableError if it is slow.
   */
  async run(): Promise<void> {
    this.#running ??= {
      since: performance.now(),
      outcome: this.#check()
        .then(
          () => {
            this.#failure = undefined
          },
          (error: unknown) => {
            this.#failure = error
            throw error
          },
        )
        .finally(() => {
          this.#running = undefined
        }),
    }
    const { since, outcome } = this.#running
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => {
        const ms = Math.round(performance.now() - since)
        if (this.#failure) reject(this.#failure)
        else if (ms < CHECK_TIMEOUT_MS) resolve()
        else reject(new StoreUnavailableError(`a write has not finished within ${ms} ms`))
      }, CALL_TIMEOUT_MS)
    })
    await Promise.race([outcome, timeout]).finally(() => clearTimeout(timer))
  }
}
