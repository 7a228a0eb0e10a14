import type { Static } from '@sinclair/typebox'
import type { StoredMessage } from '../../schemas/messages.ts'
import { type MessageFilter, StoreOpenError } from '../store.ts'
import { connectTo } from './connections.ts'
import { reasonOf } from './failure.ts'
import { scanOver } from './store.ts'

/** Scans a database over a connection of its own, without a store. @throws StoreOpenError when it cannot be read. */
export async function* scanDatabase(
  url: string,
  filter: MessageFilter,
): AsyncGenerator<Static<typeof StoredMessage>[], void> {
  const connections = connectTo(url, { patient: true, readTimeoutMs: 0 })
  try {
    yield* scanOver(connections, filter)
  } catch (error) {
    throw new StoreOpenError(`cannot read ${connections.name}: ${reasonOf(error)}`, {
      cause: error,
    })
  } finally {
    await connections.patient.close(0)
    await connections.upkeep.close(0)
  }
}
