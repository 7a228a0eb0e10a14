import { sql } from 'kysely'
import { DAY_LENGTH, type KeyRange, MINUTE_LENGTH } from '../../key-range.ts'
import type { Session } from '../pool.ts'
import { selectPendingMessages } from './pending.ts'

/** Casts an expression to bigint, with 0 for null. */
const bigint = (value: unknown) => sql<number>`coalesce(${value}, 0)::bigint`

/** Returns the number of all messages. */
export async function countAll(session: Session): Promise<number> {
  const { count } = await session
    .selectNoFrom((eb) => {
      const pending = eb
        .selectFrom('pending_batches')
        .select((eb) => eb.fn.sum('messages').as('sum'))
      return sql<number>`${eb.selectFrom('totals').select('messages')} + ${bigint(pending)}`.as(
        'count',
      )
    })
    .executeTakeFirstOrThrow()
  return count
}

/** Returns the number of messages from a sender. */
export async function countOfSender(session: Session, from: string): Promise<number> {
  const rolledUp = session.selectFrom('senders').select('count').where('msisdn', '=', from)
  const pending = selectPendingMessages(session)
    .select((eb) => eb.fn.countAll().as('count'))
    .where('from_msisdn', '=', from)
  const { count } = await session
    .selectNoFrom(sql<number>`${bigint(rolledUp)} + ${pending}`.as('count'))
    .executeTakeFirstOrThrow()
  return count
}

/** Returns the number of messages before a sort key: of whole days, whole minutes, and remaining rows. */
function countBefore(session: Session, key: string) {
  const day = key.slice(0, DAY_LENGTH)
  const minute = key.slice(0, MINUTE_LENGTH)
  const days = session
    .selectFrom('days')
    .select((eb) => eb.fn.sum('count').as('count'))
    .where('day', '<', day)
  const minutes = session
    .selectFrom('minutes')
    .select((eb) => eb.fn.sum('count').as('count'))
    .where('minute', '>=', day)
    .where('minute', '<', minute)
  const pending = selectPendingMessages(session)
    .select((eb) => eb.fn.countAll().as('count'))
    .where('ts_key', '<', minute)
  const rows = session
    .selectFrom('messages')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('ts_key', '>=', minute)
    .where('ts_key', '<', key)
  return sql<number>`(${bigint(days)} + ${bigint(minutes)} + ${pending} + ${rows})`
}

/** Returns the number of messages before each bound of the range. */
export async function countBeforeBounds(
  session: Session,
  { since, until }: KeyRange,
): Promise<{ since: number; until: number }> {
  return await session
    .selectNoFrom([
      countBefore(session, since).as('since'),
      countBefore(session, until).as('until'),
    ])
    .executeTakeFirstOrThrow()
}
