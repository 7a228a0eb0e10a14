import { setTimeout as delay } from 'node:timers/promises'
import type { ProgressListener } from '../message-store.ts'
import { type Pool, settledWithin } from './pool.ts'
import { countPending, newestPending, type RollupResult, rollUp } from './rollup-step.ts'

/** Average milliseconds between two steps. */
const EVERY_MS = 500

/** Messages that one step counts. */
const STEP = 10_000

/** Milliseconds for one step: more than the server allows, for connections on which nothing arrives any more. */
const STEP_WITHIN_MS = 5000

/** Pending messages above which ingest is throttled. */
const MAX_PENDING = 50_000

/** Milliseconds between two attempts of `catchUp` while another instance counts. */
const BUSY_PAUSE_MS = 50

/**
 * Adds pending batches to the counters, step by step, as long as it is started. At most one step runs at a time, and
 * callers share it.
 */
export class Rollup {
  readonly #pool: Pool
  readonly #withinMs: number | undefined
  #step: Promise<RollupResult> | undefined
  /** Whether the last step counted something, or could have. */
  #effective = true
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  /** Messages in pending batches, as far as this instance knows. */
  backlog = 0

  /** @param unlimited for the command line: steps may take any time. */
  constructor(pool: Pool, unlimited: boolean) {
    this.#pool = pool
    this.#withinMs = unlimited ? undefined : STEP_WITHIN_MS
  }

  /** Runs steps in the background until `stop`, also for what other instances left behind. */
  start(): void {
    const tick = async (): Promise<void> => {
      try {
        for (;;) {
          const { busy, left } = await this.#run()
          if (busy || left < STEP || this.#stopped) break
        }
      } catch {
        // The next step may succeed. Writers get the error of their own statements.
      }
      if (!this.#stopped) this.start()
    }
    // Jitter, so that instances do not compete for the lock.
    this.#timer = setTimeout(tick, EVERY_MS * (0.5 + Math.random()))
    this.#timer.unref()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  /**
   * Waits for one step while too much is pending. It does not wait where that would not help: while another instance
   * counts, and after a step that failed or took longer than this, until one succeeds.
   */
  async throttle(withinMs: number): Promise<void> {
    if (this.backlog <= MAX_PENDING || !this.#effective) return
    if (!(await settledWithin(withinMs, this.#run()))) this.#effective = false
  }

  /** Resolves once every batch that is pending now is counted, by this instance or another. */
  async catchUp(onProgress?: ProgressListener): Promise<void> {
    const newest = await this.#pool.run(newestPending)
    if (newest === undefined) return
    for (;;) {
      const { busy } = await this.#run()
      const left = await this.#pool.run((session) => countPending(session, newest))
      if (left === 0) return
      await onProgress?.(left)
      if (busy) await delay(BUSY_PAUSE_MS)
    }
  }

  #run(): Promise<RollupResult> {
    this.#step ??= this.#pool
      .run((session) => rollUp(session, STEP), { withinMs: this.#withinMs })
      .then(
        (counted) => {
          this.backlog = counted.left
          this.#effective = !counted.busy
          return counted
        },
        (error) => {
          this.#effective = false
          throw error
        },
      )
      .finally(() => {
        this.#step = undefined
      })
    return this.#step
  }
}
