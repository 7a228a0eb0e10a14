import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { ConfigError } from '../config.ts'
import { SqliteStore } from '../db/sqlite/store.ts'
import { type MessageStore, StoreOpenError } from '../db/store.ts'

declare module 'fastify' {
  interface FastifyInstance {
    store: MessageStore
  }
}

/** Opens the store before the service listens, and closes it after the last answer. */
async function db(
  app: FastifyInstance,
  { sqlitePath }: { sqlitePath: string | undefined },
): Promise<void> {
  const store = await SqliteStore.open(sqlitePath).catch((error: unknown) => {
    if (!(error instanceof StoreOpenError)) throw error
    throw new ConfigError(`DATABASE_URL: ${error.message}`, { cause: error })
  })
  app.decorate('store', store)
  app.addHook('onClose', () => store.close())
  if (store.withoutInstant > 0) {
    app.log.warn(
      { count: store.withoutInstant },
      'messages of an older service whose ts is no instant are kept: they sort first and match no since',
    )
  }
}

export default fp(db, { name: 'db' })
