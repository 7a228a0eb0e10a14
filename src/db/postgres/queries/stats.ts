import { sql } from 'kysely'
import type { Stats } from '../../../schemas/stats.ts'
import { TOP_SENDERS } from '../../message-store.ts'
import type { Session } from '../pool.ts'
import { countAll, uncounted } from './counts.ts'

async function extreme(session: Session, direction: 'asc' | 'desc'): Promise<string | null> {
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
 * The statistics, to be asked within one snapshot. Whoever has no uncounted message and belongs to the busiest is
 * among the busiest of those that were counted.
 */
export async function stats(session: Session): Promise<Stats> {
  const { rows } = await sql<{ from: string; count: number; fresh: number }>`
    with recent as (
      ${uncounted(session)
        .select((eb) => ['from_msisdn', eb.fn.countAll().as('count')])
        .groupBy('from_msisdn')}
    ), merged as (
      select from_msisdn, recent.count + coalesce(senders.count, 0) as count, senders.msisdn is null as fresh
      from recent left join senders on senders.msisdn = from_msisdn
    ), busiest as (
      select msisdn, count from senders order by count desc, msisdn limit ${TOP_SENDERS}
    )
    select from_msisdn as "from", count, (select count(*) from merged where fresh) as fresh from (
      select from_msisdn, count from merged
      union all
      select msisdn, count from busiest where not exists (select from merged where from_msisdn = msisdn)
    ) as candidates
    order by count desc, from_msisdn limit ${TOP_SENDERS}`.execute(session)
  const totals = await session.selectFrom('totals').select('senders').executeTakeFirstOrThrow()
  return {
    total_messages: await countAll(session),
    senders_count: totals.senders + (rows[0]?.fresh ?? 0),
    messages_per_sender: rows.map(({ from, count }) => ({ from, count })),
    first_message_ts: await extreme(session, 'asc'),
    last_message_ts: await extreme(session, 'desc'),
  }
}
