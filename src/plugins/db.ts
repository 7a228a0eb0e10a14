import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { ConfigError, type DatabaseAddress } from '../config.ts'
import { describeDatabase } from '../db/describe.ts'
import { type MessageStore, StoreCorruptError, StoreOpenError } from '../db/message-store.ts'
import { openStore } from '../db/open.ts'

declare module 'fastify' {
  interface FastifyInstance {
    store: MessageStore
  }
}

/** How often the store is measured, in milliseconds. */
const MEASURE_EVERY_MS = 15_000

/** How often a long start tells how far it is, in milliseconds. */
const TELL_EVERY_MS = 2000

/** Opens the store before the service listens, and closes it after the last answer. */
async function db(
  app: FastifyInstance,
  { database, readTimeoutMs }: { database: DatabaseAddress; readTimeoutMs: number },
): Promise<void> {
  app.log.info({ database: describeDatabase(database) }, 'opening the database')
  let told = performance.now()
  const tellProgress = (left: number): void => {
    if (performance.now() - told < TELL_EVERY_MS) return
    told = performance.now()
    app.log.info({ left }, 'bringing counters and indexes up to date before the service starts')
  }
  const store = await openStore(database, {
    onProgress: tellProgress,
    onWarning: (message, details) => app.log.warn(details, message),
    onFailure: (cause) =>
      app.log.error(
        { cause },
        cause instanceof StoreCorruptError
          ? 'the database is damaged: the service takes no more messages and stays not ready; restore the file'
          : 'a file of the open database was removed or replaced: nothing is stored or read until a restart',
      ),
    readTimeoutMs,
  }).catch((error: unknown) => {
    if (!(error instanceof StoreOpenError)) throw error
    throw new ConfigError(`DATABASE_URL: ${error.message}`, { cause: error })
  })
  app.decorate('store', store)
  app.measures.pools = () => store.pools
  // Beside the scrapes, which must not wait for the database.
  const measure = async (): Promise<void> => {
    app.measures.size = await store.size().catch(() => app.measures.size)
  }
  await measure()
  const timer = setInterval(measure, MEASURE_EVERY_MS).unref()
  app.addHook('onClose', async () => {
    clearInterval(timer)
    await store.close()
  })
}

export default fp(db, { name: 'db', dependencies: ['metrics'] })
