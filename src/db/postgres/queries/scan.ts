import { ALL_COLUMNS } from '../../../message/columns.ts'
import type { MessageFilter } from '../../../message/filter.ts'
import type { MessageWithDetails } from '../../../message/message.ts'
import { rangeOf } from '../../key-range.ts'
import type { Pool, Session } from '../pool.ts'
import { pushToAsyncGenerator } from '../push-to-async-generator.ts'
import { inSnapshot } from '../snapshot.ts'
import { fetchInChunks } from './cursor.ts'
import { filterConditions, indexConditions, rangeConditions } from './filter.ts'

function selectMatches(session: Session, filter: MessageFilter) {
  return session
    .selectFrom('messages')
    .select(ALL_COLUMNS)
    .where((eb) =>
      eb.and([
        ...filterConditions(eb, filter),
        ...indexConditions(eb, filter),
        ...rangeConditions(eb, rangeOf(filter)),
      ]),
    )
    .orderBy('batch')
    .orderBy('ordinal')
}

/**
 * Yields the messages that match the filter, in order of arrival and from one snapshot, in chunks.
 * @param pool a pool without time limits; one connection is in use until the generator ends.
 */
export function scan(
  pool: Pool,
  filter: MessageFilter,
): AsyncGenerator<MessageWithDetails[], void> {
  return pushToAsyncGenerator((push, signal) =>
    pool.run(
      (session) =>
        inSnapshot(session, (trx) => fetchInChunks(trx, selectMatches(trx, filter), push)),
      { signal },
    ),
  )
}
