import type { DatabaseAddress } from '../config.ts'
import type { MessageFilter } from '../message/filter.ts'
import type { StoredMessage } from '../message/message.ts'
import type { MessageStore, ProgressListener, WarningListener } from './message-store.ts'
import { resetOffline, scanOffline, verifyOffline } from './postgres/offline/commands.ts'
import { PostgresStore } from './postgres/store.ts'
import { scan } from './sqlite/offline/scan.ts'
import { resetIndexes, verify } from './sqlite/offline/verify.ts'
import { SqliteStore } from './sqlite/store.ts'
import type { Verification, VerifyListener } from './verification.ts'

/** How a store is opened. */
export interface OpenOptions {
  /** Hears how many messages are left to be derived, where it takes long. */
  onProgress?: ProgressListener
  /** Hears what an operator should know and what does not stop the service. */
  onWarning?: WarningListener
  /** Called once when the store has become unusable until a restart: damaged, or detached from its files. */
  onFailure?: (failure: Error) => void
  /** For very many messages at once, from the command line: memory is spent, and nothing is cut off. */
  bulk?: boolean
  /** Milliseconds that a question may take; 5000 unless given. */
  readTimeoutMs?: number
}

/** Opens the store that an address names. @throws StoreOpenError in one line for the operator. */
export async function openStore(
  database: DatabaseAddress,
  { onProgress, onWarning, onFailure, bulk = false, readTimeoutMs = 5000 }: OpenOptions = {},
): Promise<MessageStore> {
  if (database.kind === 'postgres') {
    return await PostgresStore.open(database.url, { unlimited: bulk, onWarning, readTimeoutMs })
  }
  const store = await SqliteStore.open(database.path, onProgress, {
    bulk,
    ...(onFailure && { onFailure }),
  })
  if (store.withoutInstant > 0) {
    onWarning?.(
      'messages of an older service whose ts is no instant are kept: they sort first and match no since',
      { count: store.withoutInstant },
    )
  }
  return store
}

/**
 * What a filter matches in the database that an address names, in order of arrival, from one snapshot, without
 * changing anything there. @throws StoreOpenError when the first are asked for.
 */
export function openScan(
  database: DatabaseAddress,
  filter: MessageFilter,
): AsyncIterable<StoredMessage[]> {
  return database.kind === 'postgres'
    ? scanOffline(database.url, filter)
    : scan(database.path ?? '', filter)
}

/** Compares everything that is derived with a recount, in one snapshot. @throws StoreOpenError */
export async function verifyDatabase(
  database: DatabaseAddress,
  onProgress: VerifyListener,
): Promise<Verification> {
  return database.kind === 'postgres'
    ? await verifyOffline(database.url, onProgress)
    : verify(database.path ?? '', onProgress)
}

/** Builds everything that is derived again, from the messages alone; answers are exact meanwhile. @throws StoreOpenError */
export async function rebuildDatabase(
  database: DatabaseAddress,
  onProgress?: ProgressListener,
): Promise<void> {
  if (database.kind === 'postgres') await resetOffline(database.url)
  else resetIndexes(database.path ?? '')
  const store = await openStore(database, { bulk: true, ...(onProgress && { onProgress }) })
  try {
    await store.catchUp(onProgress)
  } finally {
    await store.close()
  }
}
