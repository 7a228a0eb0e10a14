import type { MessageFilter } from '../../../message/filter.ts'
import type { StoredMessage } from '../../../message/message.ts'
import { StoreOpenError } from '../../message-store.ts'
import type { Verification, VerifyListener } from '../../verification.ts'
import { errorMessage } from '../errors.ts'
import { createPools, type Pools } from '../pools.ts'
import { scanOver } from '../store.ts'
import { resetIndexes, verify } from './verify.ts'

function connectOffline(url: string): Pools {
  return createPools(url, { unlimited: true, readTimeoutMs: 0 })
}

async function end({ longRunning, maintenance }: Pools): Promise<void> {
  await longRunning.close(0)
  await maintenance.close(0)
}

function inWords({ name }: Pools, error: unknown): StoreOpenError {
  return new StoreOpenError(`cannot read ${name}: ${errorMessage(error)}`, { cause: error })
}

/** Scans a database without a store, and so without changing anything there. @throws StoreOpenError */
export async function* scanOffline(
  url: string,
  filter: MessageFilter,
): AsyncGenerator<StoredMessage[], void> {
  const connections = connectOffline(url)
  try {
    yield* scanOver(connections, filter)
  } catch (error) {
    throw inWords(connections, error)
  } finally {
    await end(connections)
  }
}

/** Verifies a database without a store, see `verify`. @throws StoreOpenError */
export async function verifyOffline(
  url: string,
  onProgress: VerifyListener,
): Promise<Verification> {
  const connections = connectOffline(url)
  try {
    return await connections.longRunning.run((session) => verify(session, onProgress))
  } catch (error) {
    throw inWords(connections, error)
  } finally {
    await end(connections)
  }
}

/** Forgets what is derived in a database, see `resetIndexes`. @throws StoreOpenError */
export async function resetOffline(url: string): Promise<void> {
  const connections = connectOffline(url)
  const { longRunning } = connections
  try {
    await longRunning.run((reading) => longRunning.run((writing) => resetIndexes(reading, writing)))
  } catch (error) {
    throw inWords(connections, error)
  } finally {
    await end(connections)
  }
}
