import { type RawBuilder, type SqlBool, sql } from 'kysely'
import { DIGEST_LENGTH } from '../../schemas/feed-cursor.ts'
import { DAY_LENGTH, MINUTE_LENGTH } from '../key-range.ts'
import type { Session } from './pool.ts'
import { fromPosition, ORDER, readState, selectOrderedBatches } from './queries/feed-order.ts'
import { prefix } from './rollup-step.ts'

/**
 * Number of batches after which the position of a removed message is no longer valid in cursors.
 * It bounds the size of the table of positions.
 */
const POSITION_WINDOW = 1_000_000

/** The digest of a message id in feed cursors, see `digestOf`. */
const CURSOR_DIGEST = sql<string>`
  substr(translate(encode(sha256(convert_to(message_id, 'UTF8')), 'base64'), '+/', '-_'), 1, ${sql.lit(DIGEST_LENGTH)})`

/**
 * Deletes messages and subtracts them from the counters; deletes counters that become zero.
 * Skips messages of pending batches, which the counters do not include. @returns the batch of each deleted message.
 */
async function deleteMessages(
  transaction: Session,
  condition: RawBuilder<SqlBool>,
  limit: number,
): Promise<number[]> {
  const counted = (table: string, key: string) => sql`
    ${sql.ref(`${table}_zero`)} as (
      delete from ${sql.table(table)} as stored using ${sql.ref(`per_${table}`)} as removed
      where stored.${sql.ref(key)} = removed.key and stored.count <= removed.count returning 1
    ), ${sql.ref(`${table}_decremented`)} as (
      update ${sql.table(table)} as stored set count = stored.count - removed.count
      from ${sql.ref(`per_${table}`)} as removed
      where stored.${sql.ref(key)} = removed.key and stored.count > removed.count
    )`
  const per = (table: string, key: RawBuilder<unknown>) => sql`
    ${sql.ref(`per_${table}`)} as materialized (
      select ${key} as key, count(*) as count from removed group by 1
    )`
  const { rows } = await sql<{ batch: number }>`
    with selected as materialized (
      select batch, ordinal from messages
      where ${condition} and batch not in (select batch from pending_batches)
      order by ts_key, message_id limit ${limit}
    ), removed as (
      delete from messages using selected
      where messages.batch = selected.batch and messages.ordinal = selected.ordinal
      returning messages.batch, messages.ordinal, message_id, from_msisdn, ts_key
    ), ${per('senders', sql`from_msisdn`)}, ${per('days', prefix(DAY_LENGTH))},
    ${per('minutes', prefix(MINUTE_LENGTH))},
    ${counted('senders', 'msisdn')}, ${counted('days', 'day')}, ${counted('minutes', 'minute')},
    totals_decremented as (
      update totals set messages = messages - (select count(*) from removed),
        senders = senders - (select count(*) from senders_zero)
    ), positions as (
      insert into removed_messages (epoch, xid, batch, ordinal, digest)
      select coalesce(epoch, 0), coalesce(xid::text::bigint, 0), removed.batch, ordinal,
        keyed_digest(${CURSOR_DIGEST})
      from removed left join feed_batches on feed_batches.batch = removed.batch
    )
    select batch from removed`.execute(transaction)
  return rows.map(({ batch }) => batch)
}

/** Deletes the positions of batches that have no messages left. */
async function deleteEmptyBatches(transaction: Session, batches: readonly number[]): Promise<void> {
  await transaction
    .deleteFrom('feed_batches')
    .where('batch', '=', sql<number>`any(${batches}::bigint[])`)
    .where(({ eb, not, exists }) =>
      not(
        exists(
          eb
            .selectFrom('messages')
            .select('messages.batch')
            .whereRef('messages.batch', '=', 'feed_batches.batch'),
        ),
      ),
    )
    .execute()
}

/**
 * Returns the last position before which no message is left and none can appear.
 * Only the part of the order that is final counts: a running transaction may precede later batches.
 */
async function findStart(transaction: Session) {
  const state = await readState(transaction)
  const unordered = await transaction
    .selectFrom('messages')
    .select(['batch', 'ordinal'])
    .where('batch', '<=', state.unordered)
    .orderBy('batch')
    .orderBy('ordinal')
    .limit(1)
    .executeTakeFirst()
  if (unordered) return { epoch: 0, xid: 0, ...unordered, ordinal: unordered.ordinal - 1 }
  const first = await selectOrderedBatches(transaction, state)
    .innerJoin('messages', 'messages.batch', 'feed_batches.batch')
    .select('ordinal')
    .orderBy('epoch')
    .orderBy('feed_batches.xid')
    .orderBy('feed_batches.batch')
    .orderBy('ordinal')
    .limit(1)
    .executeTakeFirst()
  if (first) return { ...first, ordinal: first.ordinal - 1 }
  const last = await ORDER.reduce(
    (query, column) => query.orderBy(column, 'desc'),
    transaction
      .selectFrom('removed_messages')
      .select(ORDER)
      .where((eb) =>
        eb.or([
          eb('epoch', '<', state.epoch),
          eb('xid', '<', sql<number>`pg_snapshot_xmin(pg_current_snapshot())::text::bigint`),
        ]),
      ),
  )
    .limit(1)
    .executeTakeFirst()
  return last ?? fromPosition(state.start.position)
}

/** Moves the start of the feed, and deletes the positions that no cursor needs. */
async function moveStart(transaction: Session): Promise<void> {
  const { epoch, xid, batch, ordinal } = await findStart(transaction)
  await transaction
    .updateTable('feed_state')
    .set({ start_epoch: epoch, start_xid: xid, start_batch: batch, start_ordinal: ordinal })
    .execute()
  await transaction
    .deleteFrom('removed_messages')
    .where((eb) =>
      eb(
        eb.refTuple('epoch', 'xid', 'batch', 'ordinal'),
        '<=',
        eb.tuple(epoch, xid, batch, ordinal),
      ),
    )
    .execute()
  await transaction
    .deleteFrom('removed_messages')
    .where(
      'batch',
      '<',
      sql<number>`(select last_value from batches) - ${sql.lit(POSITION_WINDOW)}`,
    )
    .execute()
}

/**
 * Removes messages from the table, the counters and the feed, in the caller's transaction.
 * The transaction must hold the lock of the rollup. Messages of pending batches are not removed.
 * @param limit maximum number of messages; the first ones in the order of instants are removed.
 * @returns the number of messages.
 */
export async function removeMessages(
  transaction: Session,
  condition: RawBuilder<SqlBool>,
  limit: number,
): Promise<number> {
  const batches = await deleteMessages(transaction, condition, limit)
  if (batches.length === 0) return 0
  await deleteEmptyBatches(transaction, [...new Set(batches)])
  await moveStart(transaction)
  return batches.length
}
