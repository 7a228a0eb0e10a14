import client from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Batcher } from '../db/batcher.ts'
import type { AppendOutcome } from '../db/message-store.ts'
import type { NewMessage } from '../message/message.ts'
import { LATENCY_BUCKETS } from './metrics.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Stores messages in batches; `append` resolves when its messages are on disk. */
    batcher: Batcher<NewMessage, AppendOutcome>
  }
}

/** Buckets of batch sizes, in messages. */
const BATCH_BUCKETS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]

/** Decorates the instance with the batcher, and measures its commits. */
async function batcher(app: FastifyInstance, { maxBatch }: { maxBatch: number }): Promise<void> {
  const { store } = app
  const registers = [app.registry]
  const sizes = new client.Histogram({
    name: 'ingest_batch_messages',
    help: 'Messages that shared a commit.',
    buckets: BATCH_BUCKETS,
    registers,
  })
  const durations = new client.Histogram({
    name: 'ingest_commit_seconds',
    help: 'Time to commit a batch and sync it to disk.',
    buckets: LATENCY_BUCKETS,
    registers,
  })

  async function commit(batch: NewMessage[], waitedMs: number): Promise<AppendOutcome[]> {
    const started = performance.now()
    const outcomes = await store.append(batch, waitedMs)
    sizes.observe(batch.length)
    durations.observe((performance.now() - started) / 1000)
    return outcomes
  }
  const tracedCommit = app.commitTracer?.wrap(commit) ?? commit
  const batcher = new Batcher(tracedCommit, { ...store.batching, maxBatch })
  app.decorate('batcher', batcher)
  new client.Gauge({
    name: 'ingest_queue_messages',
    help: 'Messages that wait for their commit to begin.',
    registers,
    collect() {
      this.set(batcher.waiting)
    },
  })
}

export default fp(batcher, { name: 'batcher', dependencies: ['db', 'metrics'] })
