import { setTimeout as delay } from 'node:timers/promises'
import type { ProgressListener } from '../message-store.ts'
import { type Pool, settledWithin } from './pool.ts'
import { countPending, newestPendingBatch } from './queries/pending.ts'
import { type RollupResult, rollUp } from './rollup-step.ts'

/** Average milliseconds between two background runs. */
const INTERVAL_MS = 500

/** Messages that one step adds to the counters. */
const STEP_MESSAGES = 10_000

/**
 * Milliseconds for one step.
 * It is above the statement timeout, so that the server ends a slow statement first.
 */
const STEP_TIMEOUT_MS = 5000

/** Pending messages above which ingest is throttled. */
const MAX_PENDING = 50_000

/** Milliseconds between attempts of `catchUp` while another instance holds the lock. */
const BUSY_PAUSE_MS = 50

/**
 * Adds pending batches to the counters, step by step.
 * At most one step runs at a time; concurrent callers share it.
 */
export class Rollup {
  readonly #pool: Pool
  readonly #timeoutMs: number | undefined
  #step: Promise<RollupResult> | undefined
  /** Whether the last step succeeded; false if it failed, timed out or did not get the lock. */
  #effective = true
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  /** Messages in pending batches: the count of the last step, plus those that this store stored since. */
  backlog = 0

  /** @param unlimited whether steps have no time limit, as for the command line. */
  constructor(pool: Pool, unlimited: boolean) {
    this.#pool = pool
    this.#timeoutMs = unlimited ? undefined : STEP_TIMEOUT_MS
  }

  /** Runs steps in the background until `stop`, also for the pending batches of other instances. */
  start(): void {
    const run = async (): Promise<void> => {
      try {
        for (;;) {
          const { busy, left } = await this.#runStep()
          if (busy || left < STEP_MESSAGES || this.#stopped) break
        }
      } catch {
        // The next run retries. If the database is unavailable, appends fail with errors of their own.
      }
      if (!this.#stopped) this.start()
    }
    // Jitter, so that instances do not compete for the lock.
    this.#timer = setTimeout(run, INTERVAL_MS * (0.5 + Math.random()))
    this.#timer.unref()
  }

  /** Stops the background runs, without interrupting a running step. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  /**
   * Waits for one step, or for the timeout, if too many messages are pending.
   * Returns at once after a step that failed, timed out or did not get the lock, until a step succeeds: waiting would
   * not help.
   */
  async throttle(timeoutMs: number): Promise<void> {
    if (this.backlog <= MAX_PENDING || !this.#effective) return
    if (!(await settledWithin(timeoutMs, this.#runStep()))) this.#effective = false
  }

  /** Waits for one step, which may find that another instance holds the lock. */
  async step(): Promise<void> {
    await this.#runStep()
  }

  /** Resolves once this instance or others have added all batches that are pending now. */
  async catchUp(onProgress?: ProgressListener): Promise<void> {
    const newest = await this.#pool.run(newestPendingBatch)
    if (newest === undefined) return
    for (;;) {
      const { busy } = await this.#runStep()
      const left = await this.#pool.run((session) => countPending(session, newest))
      if (left === 0) return
      await onProgress?.(left)
      if (busy) await delay(BUSY_PAUSE_MS)
    }
  }

  #runStep(): Promise<RollupResult> {
    this.#step ??= this.#pool
      .run((session) => rollUp(session, STEP_MESSAGES), { timeoutMs: this.#timeoutMs })
      .then(
        (result) => {
          this.backlog = result.left
          this.#effective = !result.busy
          return result
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
