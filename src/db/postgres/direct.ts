import type { Static } from '@sinclair/typebox'
import type { StoredMessage } from '../../schemas/messages.ts'
import { type MessageFilter, StoreOpenError } from '../store.ts'
import type { Verification, VerifyListener } from '../verification.ts'
import { type Connections, connectTo } from './connections.ts'
import { reasonOf } from './failure.ts'
import { scanOver } from './store.ts'
import { forgetDerived, verify } from './verify.ts'

function connectDirectly(url: string): Connections {
  return connectTo(url, { patient: true, readTimeoutMs: 0 })
}

async function end({ patient, upkeep }: Connections): Promise<void> {
  await patient.close(0)
  await upkeep.close(0)
}

function inWords({ name }: Connections, error: unknown): StoreOpenError {
  return new StoreOpenError(`cannot read ${name}: ${reasonOf(error)}`, { cause: error })
}

/** Scans a database without a store, and so without changing anything there. @throws StoreOpenError */
export async function* scanDirectly(
  url: string,
  filter: MessageFilter,
): AsyncGenerator<Static<typeof StoredMessage>[], void> {
  const connections = connectDirectly(url)
  try {
    yield* scanOver(connections, filter)
  } catch (error) {
    throw inWords(connections, error)
  } finally {
    await end(connections)
  }
}

/** Verifies a database without a store, see `verify`. @throws StoreOpenError */
export async function verifyDirectly(
  url: string,
  onProgress: VerifyListener,
): Promise<Verification> {
  const connections = connectDirectly(url)
  try {
    return await connections.patient.run((session) => verify(session, onProgress))
  } catch (error) {
    throw inWords(connections, error)
  } finally {
    await end(connections)
  }
}

/** Forgets what is derived in a database, see `forgetDerived`. @throws StoreOpenError */
export async function forgetDirectly(url: string): Promise<void> {
  const connections = connectDirectly(url)
  const { patient } = connections
  try {
    await patient.run((reading) => patient.run((writing) => forgetDerived(reading, writing)))
  } catch (error) {
    throw inWords(connections, error)
  } finally {
    await end(connections)
  }
}
