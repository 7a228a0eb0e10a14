import type { StoreSize } from '../message-store.ts'
import type { Session } from './pool.ts'
import { countAll } from './queries/counts.ts'

/** Measures the database; the space left on its disk is unknown. */
export async function measure(session: Session): Promise<StoreSize> {
  const { databaseBytes } = await session
    .selectNoFrom((eb) =>
      eb.fn<number>('pg_database_size', [eb.fn('current_database')]).as('databaseBytes'),
    )
    .executeTakeFirstOrThrow()
  return {
    messages: await countAll(session),
    databaseBytes,
    freeBytes: undefined,
    lastBackup: undefined,
  }
}
