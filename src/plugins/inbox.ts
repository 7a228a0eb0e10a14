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
  app.decorate(
    'inbox',
    new GroupCommit<NewMessage, AppendOutcome>((batch) => app.store.append(batch), {
      concurrency: 1,
      maxBatch,
    }),
  )
}

export default fp(inbox, { name: 'inbox', dependencies: ['db'] })
