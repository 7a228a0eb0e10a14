import client from '@prometheus-io/client'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../config.ts'
import type { MessageRemoval } from '../db/removal.ts'
import { instantKey } from '../message/instant.ts'

/** Milliseconds between two searches for expired messages. */
const INTERVAL_MS = 2000

const DAY_MS = 86_400_000

/** Removes expired messages, step by step, for as long as there are any. */
class Retention {
  readonly #removal: MessageRemoval
  readonly #days: number
  readonly #onRemoved: (messages: number) => void
  readonly #log: FastifyBaseLogger
  #oldest: string | undefined
  /** Time at which the last step succeeded; before the first one, the time of the start. */
  #succeededAt = Date.now()
  #stopped = false
  #failing = false
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(
    removal: MessageRemoval,
    days: number,
    onRemoved: (messages: number) => void,
    log: FastifyBaseLogger,
  ) {
    this.#removal = removal
    this.#days = days
    this.#onRemoved = onRemoved
    this.#log = log
  }

  /**
   * Seconds by which the oldest message exceeds the retention; 0 if none does.
   * While steps fail, at least the time since the last one that succeeded.
   */
  get lagSeconds(): number {
    const failing = this.#failing ? Date.now() - this.#succeededAt : 0
    if (this.#oldest === undefined) return failing / 1000
    return Math.max(failing, this.#expiryTime() - Date.parse(`${this.#oldest}Z`)) / 1000
  }

  /** Removes expired messages now, and then every `INTERVAL_MS`. */
  start(): void {
    this.#running = this.#run()
  }

  /** Stops after the current step. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#running
  }

  /** Time in milliseconds before which messages are expired. */
  #expiryTime(): number {
    return Date.now() - this.#days * DAY_MS
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopped && !(await this.#step()));
      this.#failing = false
    } catch (cause) {
      if (!this.#failing) this.#log.warn({ cause }, 'expired messages could not be removed')
      this.#failing = true
    }
    if (!this.#stopped) this.#timer = setTimeout(() => this.start(), INTERVAL_MS).unref()
  }

  /** Removes some expired messages. @returns whether none is left. */
  async #step(): Promise<boolean> {
    const before = instantKey(new Date(this.#expiryTime()).toISOString()) ?? ''
    const { removed, done, oldest } = await this.#removal.removeExpired(before)
    this.#oldest = oldest
    this.#succeededAt = Date.now()
    this.#onRemoved(removed)
    return done
  }
}

/**
 * Removes messages that are older than the retention, in the background.
 * Each step is short, and posts that arrive during it are stored before the next one.
 */
async function retention(
  app: FastifyInstance,
  { retentionDays }: Pick<Config, 'retentionDays'>,
): Promise<void> {
  const registers = [app.registry]
  const removed = new client.Counter({
    name: 'retention_deleted_messages_total',
    help: 'Messages that this instance removed because they were older than RETENTION_DAYS.',
    registers,
  })
  const count = (messages: number) => removed.inc(messages)
  const retention = new Retention(app.store.removal, retentionDays, count, app.log)
  new client.Gauge({
    name: 'retention_lag_seconds',
    help: 'Time by which the oldest message exceeds RETENTION_DAYS; 0 if none does or all are kept.',
    registers,
    collect() {
      this.set(retention.lagSeconds)
    },
  })
  if (retentionDays === 0) return
  app.addHook('onListen', async () => {
    app.log.info({ days: retentionDays }, 'removing messages that are older than RETENTION_DAYS')
    retention.start()
  })
  // Runs before the store closes, as onClose hooks run in reverse order of registration.
  app.addHook('onClose', () => retention.stop())
}

export default fp(retention, { name: 'retention', dependencies: ['db', 'metrics'] })
