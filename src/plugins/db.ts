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

/** How often a long start tells how far it is, in milliseconds. */
const TELL_EVERY_MS = 2000

/** Opens the store before the service listens, and closes it after the last answer. */
async function db(
  app: FastifyInstance,
  { sqlitePath }: { sqlitePath: string | undefined },
): Promise<void> {
  let told = performance.now()
  const tellProgress = (left: number): void => {
    if (performance.now() - told < TELL_EVERY_MS) return
    told = performance.now()
    app.log.info({ left }, 'bringing counters and indexes up to date before the service starts')
  }
  const store = await SqliteStore.open(sqlitePath, tellProgress).catch((error: unknown) => {
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
