import { type RawBuilder, sql } from 'kysely'
import { DAY_LENGTH, MINUTE_LENGTH } from '../key-range.ts'
import { tryTransactionLock } from './locks.ts'
import type { Session } from './pool.ts'
import { countPending } from './queries/pending.ts'

/** Result of a rollup step. */
export interface RollupResult {
  /** Whether another instance held the lock, so that this one did nothing. */
  busy: boolean
  /** Messages that are still pending. */
  left: number
}

/** Returns the first characters of the sort key: the day or the minute of a message. */
export function prefix(length: number): RawBuilder<string> {
  return sql`substr(ts_key, 1, ${sql.lit(length)})`
}

/** Returns the sum of a counter and the excluded value of an upsert. */
function plusExcluded(table: 'senders' | 'days' | 'minutes'): RawBuilder<number> {
  return sql`${sql.ref(`${table}.count`)} + excluded.count`
}

/** Selects the oldest pending batches, at least one, until they have this many messages. */
function selectOldestBatches(session: Session, messages: number) {
  const first = session
    .selectFrom('pending_batches')
    .select(['batch', 'messages'])
    .orderBy('batch')
    .limit(messages)
  const running = session.selectFrom(first.as('first')).select((eb) => {
    const upToHere = eb.fn.sum<number>('messages').over((over) => over.orderBy('batch'))
    return ['batch', 'messages', eb(upToHere, '-', eb.ref('messages')).as('before')]
  })
  return session
    .selectFrom(running.as('running'))
    .select(['batch', 'messages'])
    .where('before', '<', messages)
}

/** Starts a statement that removes the oldest pending batches. Their messages are its CTE `added`. */
function removeOldestBatches(session: Session, messages: number) {
  return session
    .with('removed', (db) =>
      db
        .deleteFrom('pending_batches')
        .using(selectOldestBatches(session, messages).as('oldest'))
        .whereRef('pending_batches.batch', '=', 'oldest.batch')
        .returning('pending_batches.batch'),
    )
    .with(
      (cte) => cte('added').materialized(),
      (db) =>
        db
          .selectFrom('removed')
          .innerJoin('messages', 'messages.batch', 'removed.batch')
          .select(['from_msisdn', 'ts_key']),
    )
    .with('per_sender', (db) =>
      db
        .selectFrom('added')
        .select((eb) => ['from_msisdn as msisdn', eb.fn.countAll<number>().as('count')])
        .groupBy('from_msisdn'),
    )
}

/** Adds the oldest pending batches to every counter and removes them, in one statement. */
function addToCounters(session: Session, messages: number) {
  return removeOldestBatches(session, messages)
    .with('update_totals', (db) =>
      db.updateTable('totals').set((eb) => {
        const added = eb.selectFrom('added').select((eb) => eb.fn.countAll<number>().as('count'))
        const newSenders = eb
          .selectFrom('per_sender')
          .select((eb) => eb.fn.countAll<number>().as('count'))
          .where((eb) => {
            const known = eb
              .selectFrom('senders')
              .select('senders.msisdn')
              .whereRef('senders.msisdn', '=', 'per_sender.msisdn')
            return eb.not(eb.exists(known))
          })
        return { messages: eb('messages', '+', added), senders: eb('senders', '+', newSenders) }
      }),
    )
    .with('update_senders', (db) =>
      db
        .insertInto('senders')
        .columns(['msisdn', 'count'])
        .expression((eb) =>
          eb.selectFrom('per_sender').select(['msisdn', 'count']).orderBy('msisdn'),
        )
        .onConflict((conflict) =>
          conflict.column('msisdn').doUpdateSet({ count: plusExcluded('senders') }),
        ),
    )
    .with('update_days', (db) =>
      db
        .insertInto('days')
        .columns(['day', 'count'])
        .expression((eb) =>
          eb
            .selectFrom('added')
            .select((eb) => [prefix(DAY_LENGTH).as('day'), eb.fn.countAll<number>().as('count')])
            .groupBy('day')
            .orderBy('day'),
        )
        .onConflict((conflict) =>
          conflict.column('day').doUpdateSet({ count: plusExcluded('days') }),
        ),
    )
    .insertInto('minutes')
    .columns(['minute', 'count'])
    .expression((eb) =>
      eb
        .selectFrom('added')
        .select((eb) => [prefix(MINUTE_LENGTH).as('minute'), eb.fn.countAll<number>().as('count')])
        .groupBy('minute')
        .orderBy('minute'),
    )
    .onConflict((conflict) =>
      conflict.column('minute').doUpdateSet({ count: plusExcluded('minutes') }),
    )
}

/**
 * Adds the messages of the oldest pending batches to the counters, in one transaction.
 * One instance at a time does this; in any other the call returns at once. Results of reads do not change.
 * @param messages approximate number of messages.
 */
export async function rollUp(session: Session, messages: number): Promise<RollupResult> {
  if ((await countPending(session)) === 0) return { busy: false, left: 0 }
  return await session.transaction().execute(async (trx) => {
    // A rollup that is lost in a crash is repeated, so its commit need not be synced.
    const { locked } = await trx
      .selectNoFrom([
        tryTransactionLock('rollup').as('locked'),
        sql`set_config('synchronous_commit', 'off', true)`.as('commit'),
        sql`set_config('enable_seqscan', 'off', true)`.as('scan'),
      ])
      .executeTakeFirstOrThrow()
    if (locked) await addToCounters(trx, messages).execute()
    return { busy: !locked, left: await countPending(trx) }
  })
}
