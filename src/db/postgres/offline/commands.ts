import type { MessageFilter } from '../../../message/filter.ts'
import type { MessageWithDetails } from '../../../message/message.ts'
import { StoreOpenError } from '../../message-store.ts'
import type { Verification, VerifyListener } from '../../verification.ts'
import { errorMessage } from '../errors.ts'
import { createPools, type Pools } from '../pools.ts'
import { scan } from '../queries/scan.ts'
import { resetIndexes, verify } from './verify.ts'

/** Opens pools without time limits. The functions of this file use only the long-running one. */
function createOfflinePools(url: string): Pools {
  return createPools(url, { unlimited: true, readTimeoutMs: 0 })
}

function toOpenError({ name }: Pools, error: unknown): StoreOpenError {
  return new StoreOpenError(`cannot read ${name}: ${errorMessage(error)}`, { cause: error })
}

async function withPools<Result>(
  url: string,
  work: (pools: Pools) => Promise<Result>,
): Promise<Result> {
  const pools = createOfflinePools(url)
  try {
    return await work(pools)
  } catch (error) {
    throw toOpenError(pools, error)
  } finally {
    await pools.longRunning.close(0)
  }
}

/**
 * Yields the messages that match, in order of arrival, without migrating the database.
 * @throws StoreOpenError
 */
export async function* scanOffline(
  url: string,
  filter: MessageFilter,
): AsyncGenerator<MessageWithDetails[], void> {
  const pools = createOfflinePools(url)
  try {
    yield* scan(pools.longRunning, filter)
  } catch (error) {
    throw toOpenError(pools, error)
  } finally {
    await pools.longRunning.close(0)
  }
}

/** Runs `verify` on a database, without migrating it. @throws StoreOpenError */
export function verifyOffline(url: string, onProgress: VerifyListener): Promise<Verification> {
  return withPools(url, ({ longRunning }) =>
    longRunning.run((session) => verify(session, onProgress)),
  )
}

/** Runs `resetIndexes` on a database, without migrating it. @throws StoreOpenError */
export function resetOffline(url: string): Promise<void> {
  return withPools(url, ({ longRunning }) =>
    longRunning.run((reading) => longRunning.run((writing) => resetIndexes(reading, writing))),
  )
}
