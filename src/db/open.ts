import type { MessageFilter } from '../message/filter.ts'
import type { MessageWithDetails } from '../message/message.ts'
import type { DatabaseAddress } from '../settings.ts'
import type { MessageStore, ProgressListener, WarningListener } from './message-store.ts'
import type { Verification, VerifyListener } from './verification.ts'

// Stores are imported dynamically, so that only the driver of the configured database is loaded.

/** Options for opening a store. */
export interface OpenOptions {
  /** Called with the number of messages still to be indexed, if that takes long. */
  onProgress?: ProgressListener
  /** Called with warnings for the operator. */
  onWarning?: WarningListener
  /** Called once when the store is unusable until a restart: corrupt, or detached from its files. */
  onFailure?: (failure: Error) => void
  /** Whether to optimize for importing many messages: more memory, no time limits. */
  bulk?: boolean
  /** Whether to back up a SQLite file before a migration of its schema; default true. */
  backupBeforeMigration?: boolean
  /** Called with the path of the backup before a migration. */
  onBackup?: (path: string) => void
  /** Milliseconds for a read; default 5000. */
  readTimeoutMs?: number
}

/** Opens the store of an address. @throws StoreOpenError with a message of one line */
export async function openStore(
  database: DatabaseAddress,
  {
    onProgress,
    onWarning,
    onFailure,
    onBackup,
    backupBeforeMigration = true,
    bulk = false,
    readTimeoutMs = 5000,
  }: OpenOptions = {},
): Promise<MessageStore> {
  if (database.kind === 'postgres') {
    const { PostgresStore } = await import('./postgres/store.ts')
    return await PostgresStore.open(database.url, { unlimited: bulk, onWarning, readTimeoutMs })
  }
  const { SqliteStore } = await import('./sqlite/store.ts')
  const store = await SqliteStore.open(database.path, onProgress, {
    bulk,
    backupBeforeMigration,
    ...(onFailure && { onFailure }),
  })
  const { backup, withoutInstant } = store.opened
  if (backup !== undefined) onBackup?.(backup)
  if (withoutInstant > 0) {
    onWarning?.(
      'messages of the legacy Python service have a ts that is not a valid instant: they sort first and match no since or until',
      { count: withoutInstant },
    )
  }
  return store
}

/**
 * Yields the messages that match a filter, in order of arrival and from one snapshot.
 * Does not change the database.
 * @throws StoreOpenError at the first iteration
 */
export async function* openScan(
  database: DatabaseAddress,
  filter: MessageFilter,
): AsyncGenerator<MessageWithDetails[], void> {
  if (database.kind === 'postgres') {
    const { scanOffline } = await import('./postgres/offline/commands.ts')
    yield* scanOffline(database.url, filter)
  } else {
    const { scan } = await import('./sqlite/offline/scan.ts')
    yield* scan(database.path ?? '', filter)
  }
}

/** Compares counters and indexes with a recount of the messages. @throws StoreOpenError */
export async function verifyDatabase(
  database: DatabaseAddress,
  onProgress: VerifyListener,
): Promise<Verification> {
  if (database.kind === 'postgres') {
    const { verifyOffline } = await import('./postgres/offline/commands.ts')
    return await verifyOffline(database.url, onProgress)
  }
  const { verify } = await import('./sqlite/offline/verify.ts')
  return verify(database.path ?? '', onProgress)
}

/** Rebuilds counters and indexes from the messages; reads stay exact meanwhile. @throws StoreOpenError */
export async function rebuildDatabase(
  database: DatabaseAddress,
  onProgress?: ProgressListener,
): Promise<void> {
  if (database.kind === 'postgres') {
    const { resetOffline } = await import('./postgres/offline/commands.ts')
    await resetOffline(database.url)
  } else {
    const { resetIndexes } = await import('./sqlite/offline/verify.ts')
    resetIndexes(database.path ?? '')
  }
  const store = await openStore(database, { bulk: true, ...(onProgress && { onProgress }) })
  try {
    await store.catchUp(onProgress)
  } finally {
    await store.close()
  }
}
