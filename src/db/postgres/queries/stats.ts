import type { Stats } from '../../../schemas/stats.ts'
import { TOP_SENDERS } from '../../message-store.ts'
import type { Session } from '../pool.ts'
import { countAll } from './counts.ts'
import { withUpdatedSenders } from './pending.ts'

/** Returns the `ts` of the first or last message with an instant, or null if there is none. */
async function extremeTimestamp(
  session: Session,
  direction: 'asc' | 'desc',
): Promise<string | null> {
  const row = await session
    .selectFrom('messages')
    .select('ts')
    .where('ts_key', '>', '')
    .orderBy('ts_key', direction)
    .orderBy('message_id', direction)
    .limit(1)
    .executeTakeFirst()
  return row?.ts ?? null
}

/**
 * Selects the busiest senders.
 * Candidates are the senders of pending messages and the busiest senders of the counter table; no other sender can be
 * among the busiest. `new_senders` is the number of senders without a counter.
 */
function selectTopSenders(session: Session) {
  return withUpdatedSenders(session)
    .with('busiest', (db) =>
      db
        .selectFrom('senders')
        .select(['msisdn', 'count'])
        .orderBy('count', 'desc')
        .orderBy('msisdn')
        .limit(TOP_SENDERS),
    )
    .selectFrom((eb) =>
      eb
        .selectFrom('updated')
        .select(['from_msisdn', 'count'])
        .unionAll(
          eb
            .selectFrom('busiest')
            .select(['msisdn as from_msisdn', 'count'])
            .where('msisdn', 'not in', (eb) => eb.selectFrom('updated').select('from_msisdn')),
        )
        .as('candidates'),
    )
    .select((eb) => [
      'from_msisdn as from',
      'count',
      eb
        .selectFrom('updated')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('is_new', '=', true)
        .as('new_senders'),
    ])
    .orderBy('count', 'desc')
    .orderBy('from_msisdn')
    .limit(TOP_SENDERS)
}

/** Returns the statistics. @param session a session in a snapshot. */
export async function stats(session: Session): Promise<Stats> {
  const top = await selectTopSenders(session).execute()
  const totals = await session.selectFrom('totals').select('senders').executeTakeFirstOrThrow()
  return {
    total_messages: await countAll(session),
    senders_count: totals.senders + (top[0]?.new_senders ?? 0),
    messages_per_sender: top.map(({ from, count }) => ({ from, count })),
    first_message_ts: await extremeTimestamp(session, 'asc'),
    last_message_ts: await extremeTimestamp(session, 'desc'),
  }
}
