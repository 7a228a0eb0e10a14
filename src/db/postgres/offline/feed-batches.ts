import { type ExpressionBuilder, sql } from 'kysely'
import type { Difference } from '../../verification.ts'
import type { Session } from '../pool.ts'
import type { PostgresSchema } from '../schema.ts'

/** Number of the last batch that the order of the feed contains without a row of its own. */
const UNORDERED = sql<number>`(select unordered_batch from feed_state)`

/** Whether a row of `feed_batches` must not exist: it has no message, or its messages have an earlier position. */
function isSurplus(eb: ExpressionBuilder<PostgresSchema, 'feed_batches'>) {
  const messages = eb
    .selectFrom('messages')
    .select('messages.batch')
    .whereRef('messages.batch', '=', 'feed_batches.batch')
  const earlier = eb
    .selectFrom('feed_batches as earlier')
    .select('earlier.batch')
    .whereRef('earlier.batch', '=', 'feed_batches.batch')
    .where((eb) =>
      eb(
        eb.refTuple('earlier.epoch', 'earlier.xid'),
        '<',
        eb.tuple(eb.ref('feed_batches.epoch'), eb.ref('feed_batches.xid')),
      ),
    )
  return eb.or([
    eb.not(eb.exists(messages)),
    eb.exists(earlier),
    eb('feed_batches.batch', '<=', UNORDERED),
  ])
}

/** Selects the batches of messages that have no position in the feed. */
function selectMissing(session: Session) {
  return session
    .selectFrom('messages')
    .select('messages.batch')
    .distinct()
    .where((eb) => eb('messages.batch', '>', UNORDERED))
    .where((eb) => {
      const ordered = eb
        .selectFrom('feed_batches')
        .select('feed_batches.batch')
        .whereRef('feed_batches.batch', '=', 'messages.batch')
      return eb.not(eb.exists(ordered))
    })
}

/** Compares the order of the feed with the batches of the messages. */
export async function feedDifferences(session: Session): Promise<Difference[]> {
  const { missing } = await session
    .selectFrom(selectMissing(session).as('missing'))
    .select(({ fn }) => fn.countAll<number>().as('missing'))
    .executeTakeFirstOrThrow()
  const { surplus } = await session
    .selectFrom('feed_batches')
    .select(({ fn }) => fn.countAll<number>().as('surplus'))
    .where(isSurplus)
    .executeTakeFirstOrThrow()
  const table = 'feed_batches'
  return [
    { table, kind: 'missing', count: missing },
    { table, kind: 'surplus', count: surplus },
  ]
}

/** Removes surplus positions from the feed, and appends the batches that have none. */
export async function repairFeed(transaction: Session): Promise<void> {
  await transaction.deleteFrom('feed_batches').where(isSurplus).execute()
  await transaction
    .insertInto('feed_batches')
    .columns(['epoch', 'xid', 'batch'])
    .expression(
      transaction
        .selectFrom('feed_state')
        .innerJoin(selectMissing(transaction).as('missing'), (join) => join.onTrue())
        .select(['epoch', sql<string>`pg_current_xact_id()`.as('xid'), 'missing.batch']),
    )
    .execute()
}
