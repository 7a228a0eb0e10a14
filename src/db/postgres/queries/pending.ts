import { sql } from 'kysely'
import type { Session } from '../pool.ts'

/**
 * Selects from the messages of pending batches, which the counters do not include yet.
 * Each batch is looked up by primary key: `offset 0` keeps the planner from flattening the lateral join into a hash
 * join over a sequential scan of `messages`, which it prefers when it overestimates the size of a batch.
 */
export function selectPendingMessages(session: Session) {
  return session.selectFrom('pending_batches').innerJoinLateral(
    (eb) =>
      eb
        .selectFrom('messages')
        .select(['from_msisdn', 'ts_key'])
        .whereRef('messages.batch', '=', 'pending_batches.batch')
        .offset(eb.lit(0))
        .as('pending'),
    (join) => join.onTrue(),
  )
}

/**
 * Starts a query with the CTE `updated`: the senders of pending messages and their actual counts.
 * `is_new` is true for a sender without a counter.
 */
export function withUpdatedSenders(session: Session) {
  return session
    .with('pending', () =>
      selectPendingMessages(session)
        .select((eb) => ['from_msisdn', eb.fn.countAll<number>().as('count')])
        .groupBy('from_msisdn'),
    )
    .with('updated', (db) =>
      db
        .selectFrom('pending')
        .leftJoin('senders', 'senders.msisdn', 'pending.from_msisdn')
        .select((eb) => [
          'pending.from_msisdn',
          eb('pending.count', '+', eb.fn.coalesce('senders.count', eb.lit(0))).as('count'),
          eb('senders.msisdn', 'is', null).as('is_new'),
        ]),
    )
}

/** Returns the number of the newest pending batch, or undefined if there is none. */
export async function newestPendingBatch(session: Session): Promise<number | undefined> {
  const newest = await session
    .selectFrom('pending_batches')
    .select('batch')
    .orderBy('batch', 'desc')
    .limit(1)
    .executeTakeFirst()
  return newest?.batch
}

/** Returns the number of messages in pending batches. @param upTo the newest batch to include. */
export async function countPending(session: Session, upTo?: number): Promise<number> {
  const { pending } = await session
    .selectFrom('pending_batches')
    .select(sql<number>`coalesce(sum(messages), 0)::bigint`.as('pending'))
    .$if(upTo !== undefined, (query) => query.where('batch', '<=', upTo ?? 0))
    .executeTakeFirstOrThrow()
  return pending
}
