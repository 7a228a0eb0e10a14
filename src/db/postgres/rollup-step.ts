import { sql } from 'kysely'
import { DAY_LENGTH, MINUTE_LENGTH } from '../key-range.ts'
import type { Session } from './pool.ts'

/** Whoever counts holds this lock, in the database's own numbering of advisory locks: the name's bytes, and a purpose. */
const LOCK = sql`${sql.lit(0x6c796674)}, ${sql.lit(2)}`

/** What became of a step. */
export interface RollupResult {
  /** Whether another instance was counting, and so nothing was done. */
  busy: boolean
  /** Messages that are still uncounted. */
  left: number
}

/** The oldest batches, as many as hold about so many messages; at least one. */
function oldest(messages: number) {
  return sql`
    select batch, messages from (
      select batch, messages, sum(messages) over (order by batch) - messages as before
      from (select batch, messages from uncounted order by batch limit ${messages}) as first
    ) as running where before < ${messages}`
}

/**
 * Adds the messages of batches that were not counted yet to the counters, in one transaction, about so many at a
 * time. One instance counts at a time, and whoever comes second does nothing. Answers are the same before and after.
 */
export async function rollUp(session: Session, messages: number): Promise<RollupResult> {
  if ((await countPending(session)) === 0) return { busy: false, left: 0 }
  return await session.transaction().execute(async (trx) => {
    const { rows } = await sql<{ locked: boolean }>`
      select pg_try_advisory_xact_lock(${LOCK}) as locked,
        set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true)`.execute(
      trx,
    )
    if (!rows[0]?.locked) return { busy: true, left: await countPending(trx) }
    await sql`
      with taken as (
        delete from uncounted using (${oldest(messages)}) as oldest
        where uncounted.batch = oldest.batch returning uncounted.batch
      ), fresh as materialized (
        select from_msisdn, ts_key from taken join messages on messages.batch = taken.batch
      ), per_sender as (
        select from_msisdn as msisdn, count(*) as count from fresh group by from_msisdn
      ), total as (
        update totals set messages = messages + (select count(*) from fresh),
          senders = senders + (select count(*) from per_sender
            where not exists (select from senders where senders.msisdn = per_sender.msisdn))
      ), senders_added as (
        insert into senders (msisdn, count) select msisdn, count from per_sender order by msisdn
        on conflict (msisdn) do update set count = senders.count + excluded.count
      ), days_added as (
        insert into days (day, count)
        select substr(ts_key, 1, ${sql.lit(DAY_LENGTH)}) as day, count(*) from fresh group by day order by day
        on conflict (day) do update set count = days.count + excluded.count
      )
      insert into minutes (minute, count)
      select substr(ts_key, 1, ${sql.lit(MINUTE_LENGTH)}) as minute, count(*) from fresh group by minute order by minute
      on conflict (minute) do update set count = minutes.count + excluded.count`.execute(trx)
    return { busy: false, left: await countPending(trx) }
  })
}

/** Runs work while nobody counts, once whoever does has ended. */
export async function withRollupLock<Result>(
  session: Session,
  work: () => Promise<Result>,
): Promise<Result> {
  await sql`select pg_advisory_lock(${LOCK})`.execute(session)
  try {
    return await work()
  } finally {
    await sql`select pg_advisory_unlock(${LOCK})`.execute(session)
  }
}

/** The newest batch that was not counted yet. */
export async function newestPending(session: Session): Promise<number | undefined> {
  const newest = session.selectFrom('uncounted').select('batch').orderBy('batch', 'desc').limit(1)
  return (await newest.executeTakeFirst())?.batch
}

/** Messages that were not counted yet. @param upTo the newest batch to consider. */
export async function countPending(session: Session, upTo?: number): Promise<number> {
  const { left } = await session
    .selectFrom('uncounted')
    .select(sql<number>`coalesce(sum(messages), 0)::bigint`.as('left'))
    .$if(upTo !== undefined, (query) => query.where('batch', '<=', upTo ?? 0))
    .executeTakeFirstOrThrow()
  return left
}
