import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Batcher } from '../db/batcher.ts'
import type { AppendOutcome } from '../db/message-store.ts'
import type { StoredMessage } from '../message/message.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Takes messages one by one and stores them in batches; resolves when a message is on disk. */
    batcher: Batcher<StoredMessage, AppendOutcome>
  }
}

async function inbox(app: FastifyInstance, { maxBatch }: { maxBatch: number }): Promise<void> {
  async function commit(batch: StoredMessage[], waitedMs: number): Promise<AppendOutcome[]> {
    const started = performance.now()
    const outcomes = await app.store.append(batch, waitedMs)
    app.measures.commit(batch.length, (performance.now() - started) / 1000)
    return outcomes
  }
  const inbox = new Batcher(commit, { ...app.store.batching, maxBatch })
  app.decorate('batcher', inbox)
  app.measures.batcher = () => ({ waiting: inbox.waiting, ...app.store.status })
}

export default fp(inbox, { name: 'batcher', dependencies: ['db', 'metrics'] })
