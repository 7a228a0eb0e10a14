import { StoreUnavailableError } from '../message-store.ts'

/** Milliseconds after which a check is answered without waiting longer for it: probes give up after a second. */
const ANSWER_MS = 700

/** Milliseconds that a check may be under way and still pass: what an append waits for a lock, and a little more. */
const LIMIT_MS = 5000

/**
 * A readiness check that callers share while it is under way. It waits its turn behind appends, which may wait for
 * another process's lock, or for a disk: as long as they would still succeed, so does the check. After a failure only a
 * check that has finished passes.
 */
export class SharedProbe {
  readonly #check: () => Promise<void>
  #failure: unknown
  #running: { since: number; outcome: Promise<void> } | undefined

  constructor(check: () => Promise<void>) {
    this.#check = check
  }

  /** Makes checks fail until one has succeeded. */
  noteFailure(error: unknown): void {
    this.#failure = error
  }

  /** Runs the check, or joins the one under way. @throws what it throws, or StoreUnavailableError once it is too slow. */
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
    const late = new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => {
        const ms = Math.round(performance.now() - since)
        if (this.#failure) reject(this.#failure)
        else if (ms < LIMIT_MS) resolve()
        else reject(new StoreUnavailableError(`a write has not finished within ${ms} ms`))
      }, ANSWER_MS)
    })
    await Promise.race([outcome, late]).finally(() => clearTimeout(timer))
  }
}
