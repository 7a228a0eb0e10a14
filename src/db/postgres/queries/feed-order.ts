import { type Expression, sql } from 'kysely'
import type { FeedFilter } from '../../../message/filter.ts'
import { digestOf, type FeedCursor } from '../../../schemas/feed-cursor.ts'
import type { Session } from '../pool.ts'
import { filterConditions } from './filter.ts'

/**
 * Position in the feed, which is ordered by epoch, transaction id, batch and ordinal.
 * Neither batch numbers nor transaction ids are in the order of commits: a batch with a lower number may commit later.
 * But every transaction below `pg_snapshot_xmin`, the oldest running one, has ended, and every later transaction gets a
 * higher id. So the order below `pg_snapshot_xmin` is complete and never changes, and only this part is read. A
 * transaction that writes to any database of the cluster and stays open delays the feed.
 */
export interface Position {
  epoch: number
  xid: number
  batch: number
  ordinal: number
}

/** The columns of the order. */
export const ORDER = ['epoch', 'xid', 'batch', 'ordinal'] as const

/** A row of a window of the feed. */
export interface WindowRow extends Position {
  message_id: string
  matches: boolean
  /** Bytes of the text and the payload. */
  bytes: number
}

/** The state of the feed. */
export interface FeedState {
  epoch: number
  unordered: number
  start: FeedCursor
}

/** Returns the position of a row as the numbers of a cursor. */
export const toPosition = ({ epoch, xid, batch, ordinal }: Position) => [epoch, xid, batch, ordinal]

/** Returns the position of the numbers of a cursor. */
export function fromPosition([epoch = 0, xid = 0, batch = 0, ordinal = 0]: number[]): Position {
  return { epoch, xid, batch, ordinal }
}

/** Returns the cursor after a message. */
export function cursorAfter(row: Position & { message_id: string }): FeedCursor {
  return { position: toPosition(row), digest: digestOf(row.message_id) }
}

/** Reads the state of the feed. */
export async function readState(session: Session): Promise<FeedState> {
  const { epoch, unordered_batch, start_epoch, start_xid, start_batch, start_ordinal } =
    await session.selectFrom('feed_state').selectAll().executeTakeFirstOrThrow()
  const start = { position: [start_epoch, start_xid, start_batch, start_ordinal] }
  return { epoch, unordered: unordered_batch, start }
}

/** Selects the batches whose position in the order is final. */
export function selectOrderedBatches(session: Session, { epoch }: FeedState) {
  return session
    .selectFrom('feed_batches')
    .select(['epoch', sql<number>`xid::text::bigint`.as('xid'), 'feed_batches.batch'])
    .where((eb) =>
      eb.or([
        eb('epoch', '<', epoch),
        eb('xid', '<', sql<string>`pg_snapshot_xmin(pg_current_snapshot())`),
      ]),
    )
}

/** Selects the next messages after a position, at most `limit`, whether or not they match. */
export function selectWindow(
  session: Session,
  state: FeedState,
  after: Position,
  filter: FeedFilter,
  limit: number,
): Expression<WindowRow> {
  const bytes = sql<number>`coalesce(octet_length(text), 0) + coalesce(octet_length(payload), 0)`
  if (after.epoch === 0) {
    return session
      .selectFrom('messages')
      .select((eb) => [
        sql<number>`0`.as('epoch'),
        sql<number>`0`.as('xid'),
        'batch',
        'ordinal',
        'message_id',
        eb.and(filterConditions(eb, filter)).$castTo<boolean>().as('matches'),
        bytes.as('bytes'),
      ])
      .where('batch', '<=', state.unordered)
      .where((eb) => eb(eb.refTuple('batch', 'ordinal'), '>', eb.tuple(after.batch, after.ordinal)))
      .orderBy('batch')
      .orderBy('ordinal')
      .limit(limit)
  }
  const batches = selectOrderedBatches(session, state)
    .where((eb) =>
      eb(
        eb.refTuple('epoch', 'xid', 'feed_batches.batch'),
        '>=',
        eb.tuple(after.epoch, String(after.xid), after.batch),
      ),
    )
    .orderBy('epoch')
    .orderBy('feed_batches.xid')
    .orderBy('feed_batches.batch')
    // Every batch has at least one message; those of the first batch may precede the position.
    .limit(limit + 1)
  return (
    session
      .selectFrom(batches.as('batches'))
      // `offset 0` keeps the planner from flattening the lateral join into a join over all messages.
      .innerJoinLateral(
        (eb) =>
          eb
            .selectFrom('messages')
            .select((eb) => [
              'ordinal',
              'message_id',
              eb.and(filterConditions(eb, filter)).$castTo<boolean>().as('matches'),
              bytes.as('bytes'),
            ])
            .whereRef('messages.batch', '=', 'batches.batch')
            .where((eb) =>
              eb.or([eb('batches.batch', '<>', after.batch), eb('ordinal', '>', after.ordinal)]),
            )
            .offset(eb.lit(0))
            .as('batched'),
        (join) => join.onTrue(),
      )
      .select(['epoch', 'xid', 'batch', 'ordinal', 'message_id', 'matches', 'bytes'])
      .orderBy('epoch')
      .orderBy('xid')
      .orderBy('batch')
      .orderBy('ordinal')
      .limit(limit)
  )
}

/**
 * Starts a new epoch if the database was restored from a dump of another cluster.
 * In that case, batches, removed messages or the start of the feed have transaction ids that this cluster has not
 * reached, and new batches of the same epoch would precede them.
 */
export async function startEpochIfRestored(session: Session): Promise<void> {
  const { rows } = await sql`
    with reached as (select pg_snapshot_xmax(pg_current_snapshot()) as xid)
    select 1 from feed_state, reached
    where start_epoch = epoch and start_xid >= reached.xid::text::bigint
      or exists (select 1 from feed_batches where epoch = feed_state.epoch and xid >= reached.xid)
      or exists (
        select 1 from removed_messages
        where epoch = feed_state.epoch and xid >= reached.xid::text::bigint
      )`.execute(session)
  if (rows.length === 0) return
  await session.transaction().execute(async (transaction) => {
    // Waits for running batches, which belong to the previous epoch.
    await sql`lock table pending_batches in share row exclusive mode`.execute(transaction)
    await transaction
      .updateTable('feed_state')
      .set((eb) => ({ epoch: eb('epoch', '+', 1) }))
      .execute()
  })
}
