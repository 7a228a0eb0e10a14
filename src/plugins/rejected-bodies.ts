import client from '@prometheus-io/client'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { NewRejectedBody, RejectedBodyStore } from '../db/rejected-bodies.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Keeps the bodies that are rejected although their signature is valid. */
    rejectedBodies: Pick<RejectedBodyBuffer, 'keep'>
  }
}

/** Milliseconds between two batches. */
const INTERVAL_MS = 1000

/** Maximum number of bodies per batch. */
const MAX_BATCH = 20

/**
 * Maximum bytes of the bodies of a batch; above the largest body.
 * Bounds the time for which a batch delays messages.
 */
const MAX_BATCH_BYTES = 4 * 1024 * 1024

/** Whether a body is kept, or dropped because the batch was full or could not be written. */
type Outcome = 'kept' | 'dropped'

/** Collects rejected bodies, and writes them to the store as one batch each second. */
class RejectedBodyBuffer {
  readonly #store: RejectedBodyStore
  readonly #limit: number
  readonly #count: (outcome: Outcome, bodies: number) => void
  readonly #log: FastifyBaseLogger
  #bodies: NewRejectedBody[] = []
  #bytes = 0
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  /** Whether the last batch could not be written. */
  #failing = false

  constructor(
    store: RejectedBodyStore,
    limit: number,
    count: (outcome: Outcome, bodies: number) => void,
    log: FastifyBaseLogger,
  ) {
    this.#store = store
    this.#limit = limit
    this.#count = count
    this.#log = log
  }

  /** Adds a body to the next batch, or drops it if the batch is full. Does nothing if the limit is 0. */
  keep(rejected: Omit<NewRejectedBody, 'at'>): void {
    if (this.#limit === 0) return
    const bytes = this.#bytes + rejected.body.length
    if (this.#bodies.length >= MAX_BATCH || bytes > MAX_BATCH_BYTES) {
      this.#count('dropped', 1)
      return
    }
    // A copy: small buffers share an ArrayBuffer, all of which would be cloned when it is posted to the writer thread.
    const body = new Uint8Array(rejected.body)
    this.#bodies.push({ ...rejected, at: new Date().toISOString(), body })
    this.#bytes = bytes
    this.#schedule()
  }

  /** Writes the last batch. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#writing
    await this.#write()
  }

  #schedule(): void {
    this.#timer ??= setTimeout(async () => {
      this.#writing = this.#write()
      await this.#writing
      this.#timer = undefined
      if (this.#bodies.length > 0) this.#schedule()
    }, INTERVAL_MS).unref()
  }

  async #write(): Promise<void> {
    const bodies = this.#bodies
    if (bodies.length === 0) return
    this.#bodies = []
    this.#bytes = 0
    try {
      await this.#store.keep(bodies, this.#limit)
      this.#count('kept', bodies.length)
      this.#failing = false
    } catch (cause) {
      this.#count('dropped', bodies.length)
      if (!this.#failing) this.#log.warn({ cause }, 'rejected bodies could not be kept')
      this.#failing = true
    }
  }
}

/**
 * Keeps rejected bodies in the store, without delaying any request.
 * @param options.maxRejected maximum number of bodies in the store; 0 to keep none.
 */
async function rejectedBodies(
  app: FastifyInstance,
  { maxRejected }: { maxRejected: number },
): Promise<void> {
  const counter = new client.Counter({
    name: 'webhook_rejected_bodies_total',
    help: 'Signed bodies that were rejected, by outcome: kept, or dropped beyond 20 or 4 MiB a second or when the store failed.',
    labelNames: ['outcome'],
    registers: [app.registry],
  })
  const count = (outcome: Outcome, bodies: number) => counter.inc({ outcome }, bodies)
  for (const outcome of ['kept', 'dropped'] as const) count(outcome, 0)
  const buffer = new RejectedBodyBuffer(app.store.rejected, maxRejected, count, app.log)
  app.decorate('rejectedBodies', buffer)
  // Runs before the store closes, as onClose hooks run in reverse order of registration.
  app.addHook('onClose', () => buffer.close())
}

export default fp(rejectedBodies, { name: 'rejected-bodies', dependencies: ['db', 'metrics'] })
