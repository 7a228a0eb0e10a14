import { sql } from 'kysely'
import type { MessageFilter } from '../../../message/filter.ts'
import { MESSAGE_COLUMNS, type StoredMessage } from '../../../message/message.ts'
import { rangeOf } from '../../key-range.ts'
import type { Session } from '../pool.ts'
import { filterConditions, indexConditionsOf, rangeConditions } from './filter.ts'

/** Rows that are fetched at a time. */
const CHUNK = 1000

/** Hands on chunks to whoever asks for them, one at a time: what the work of a pool yields. */
export type Emit<Chunk> = (chunk: Chunk) => Promise<void>

/** What a filter matches, in order of arrival and from one snapshot, which a cursor reads on the server. */
export async function scan(
  session: Session,
  filter: MessageFilter,
  emit: Emit<StoredMessage[]>,
): Promise<void> {
  const range = rangeOf(filter)
  const rows = session
    .selectFrom('messages')
    .select(MESSAGE_COLUMNS)
    .where((eb) =>
      eb.and([
        ...filterConditions(eb, filter),
        ...indexConditionsOf(eb, filter),
        ...rangeConditions(eb, range),
      ]),
    )
    .orderBy('batch')
    .orderBy('place')
  await session
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (trx) => {
      await sql`declare scan no scroll cursor for ${rows}`.execute(trx)
      const fetch = sql<StoredMessage>`fetch ${sql.lit(CHUNK)} from scan`
      for (;;) {
        const { rows } = await fetch.execute(trx)
        if (rows.length === 0) return
        await emit(rows)
      }
    })
}
