import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { GroupCommit } from '../db/group-commit.ts'
import type { AppendOutcome, NewMessage } from '../db/store.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Takes messages one by one and stores them in batches; resolves when a message is on disk. */
    inbox: GroupCommit<NewMessage, AppendOutcome>
  }
}

async function inbox(app: FastifyInstance, { maxBatch }: { maxBatch: number }): Promise<void> {
  async function commit(batch: NewMessage[], waitedMs: number): Promise<AppendOutcome[]> {
    const started = performance.now()
    const outcomes = await app.store.append(batch, waitedMs)
    app.measures.commit(batch.length, (performance.now() - started) / 1000)
    return outcomes
  }
  const inbox = new GroupCommit(commit, { ...app.store.batching, maxBatch })
  app.decorate('inbox', inbox)
  app.measures.inbox = () => ({ waiting: inbox.waiting, ...app.store.condition })
}

export default fp(inbox, { name: 'inbox', dependencies: ['db', 'metrics'] })
