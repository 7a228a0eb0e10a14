import { type Expression, sql } from 'kysely'
import { ALL_COLUMNS } from '../../../message/columns.ts'
import { isRestrictive } from '../../../message/filter.ts'
import { comparePositions, digestOf, type FeedCursor } from '../../../schemas/feed-cursor.ts'
import {
  FEED_WINDOW,
  type FeedPage,
  type FeedQuery,
  type StaleCursor,
} from '../../message-store.ts'
import { MAX_PAGE_SIZE } from '../../page.ts'
import type { Session } from '../pool.ts'
import {
  cursorAfter,
  type FeedState,
  fromPosition,
  ORDER,
  type Position,
  readState,
  selectOrderedBatches,
  selectWindow,
  toPosition,
  type WindowRow,
} from './feed-order.ts'

/** Reads the messages of a window that match, up to the limits on their number and size. */
async function fetchMatches(session: Session, window: Expression<WindowRow>, limit: number) {
  const rows = await session
    .with('examined', () => window)
    .with('matching', (db) => {
      const matching = db.selectFrom('examined').selectAll().where('matches', '=', true)
      return ORDER.reduce((query, column) => query.orderBy(column), matching).limit(limit)
    })
    .with('sized', (db) =>
      db
        .selectFrom('matching')
        .select(ORDER)
        .select(({ fn }) => [
          fn.countAll<number>().over().as('found'),
          sql<number | null>`sum(bytes) over (order by epoch, xid, batch, ordinal
            rows between unbounded preceding and 1 preceding)`.as('before'),
        ]),
    )
    .selectFrom('sized')
    .innerJoin('messages', (join) =>
      join
        .onRef('messages.batch', '=', 'sized.batch')
        .onRef('messages.ordinal', '=', 'sized.ordinal'),
    )
    .select(ORDER.map((column) => `sized.${column}` as const))
    .select(['found', ...ALL_COLUMNS])
    .where((eb) => eb.or([eb('before', 'is', null), eb('before', '<=', MAX_PAGE_SIZE)]))
    .orderBy('sized.epoch')
    .orderBy('sized.xid')
    .orderBy('sized.batch')
    .orderBy('sized.ordinal')
    .execute()
  return { rows, found: rows[0]?.found ?? 0 }
}

/** Returns the last row of a window, and the number of its rows; undefined if it is empty. */
async function lastOf(session: Session, window: Expression<WindowRow>) {
  const rows = session
    .with('examined', () => window)
    .selectFrom('examined')
    .select([...ORDER, 'message_id'])
    .select(({ fn }) => fn.countAll<number>().over().as('examined'))
  return ORDER.reduce((query, column) => query.orderBy(column, 'desc'), rows)
    .limit(1)
    .executeTakeFirst()
}

/** Returns the cursor after the last message whose position in the order is final. */
export async function feedEnd(session: Session): Promise<FeedCursor> {
  const state = await readState(session)
  const ordered = await selectOrderedBatches(session, state)
    .innerJoin('messages', 'messages.batch', 'feed_batches.batch')
    .select(['ordinal', 'message_id'])
    .orderBy('epoch', 'desc')
    .orderBy('feed_batches.xid', 'desc')
    .orderBy('feed_batches.batch', 'desc')
    .orderBy('ordinal', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (ordered) return cursorAfter(ordered)
  const unordered = await session
    .selectFrom('messages')
    .select(['batch', 'ordinal', 'message_id'])
    .where('batch', '<=', state.unordered)
    .orderBy('batch', 'desc')
    .orderBy('ordinal', 'desc')
    .limit(1)
    .executeTakeFirst()
  return unordered ? cursorAfter({ epoch: 0, xid: 0, ...unordered }) : state.start
}

async function isStale(session: Session, { position, digest }: FeedCursor, { start }: FeedState) {
  if (position.length !== start.position.length) return true
  if (comparePositions(position, start.position) === 0) return false
  const { epoch, xid, batch, ordinal } = fromPosition(position)
  const found = await session
    .selectFrom('messages')
    .select('message_id')
    .where('batch', '=', batch)
    .where('ordinal', '=', ordinal)
    .executeTakeFirst()
  if (found) return digestOf(found.message_id) !== digest
  const removed = await session
    .selectFrom('removed_messages')
    .select('ordinal')
    .where((eb) => eb.and({ epoch, xid, batch, ordinal }))
    .where('digest', '=', sql<Uint8Array>`keyed_digest(${digest ?? ''})`)
    .executeTakeFirst()
  return removed === undefined
}

/** Reads the messages after a position, of epoch 0 or of all others; undefined if there are none. */
async function readWindow(
  session: Session,
  state: FeedState,
  after: Position,
  { filter, limit }: FeedQuery,
): Promise<FeedPage | undefined> {
  const restrictive = isRestrictive(filter)
  const size = restrictive ? FEED_WINDOW : limit
  const window = selectWindow(session, state, after, filter, size)
  const { rows, found } = await fetchMatches(session, window, limit)
  const data = rows.map(({ epoch, xid, batch, ordinal, found: _found, ...message }) => ({
    ...message,
    position: toPosition({ epoch, xid, batch, ordinal }),
  }))
  const last = rows.at(-1)
  if (last && (rows.length < found || found === limit)) {
    return { data, next: cursorAfter(last), done: false }
  }
  const end = restrictive ? await lastOf(session, window) : last && { ...last, examined: found }
  return end && { data, next: cursorAfter(end), done: after.epoch > 0 && end.examined < size }
}

/** Returns the next messages of the feed. @param session a session in a snapshot. */
export async function feed(session: Session, query: FeedQuery): Promise<FeedPage | StaleCursor> {
  const state = await readState(session)
  const { after = state.start } = query
  if (await isStale(session, after, state)) return { oldest: state.start }
  const position = fromPosition(after.position)
  let page = await readWindow(session, state, position, query)
  // Epoch 0, the batches without transaction ids, precedes all others.
  if (!page && position.epoch === 0) {
    page = await readWindow(session, state, { ...position, epoch: 1 }, query)
  }
  return page ?? { data: [], next: after, done: true }
}
