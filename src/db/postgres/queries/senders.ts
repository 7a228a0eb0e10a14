import { type RawBuilder, type SqlBool, sql } from 'kysely'
import {
  endOfPrefix,
  nextPosition,
  type SenderCount,
  type SenderPage,
  type SenderQuery,
} from '../../sender-query.ts'
import type { Session } from '../pool.ts'
import { withUpdatedSenders } from './pending.ts'

type Condition = RawBuilder<SqlBool>

const MSISDN = sql.ref('msisdn')
const COUNT = sql.ref('count')

/** Returns the condition that a number begins with the prefix. */
function hasPrefix(number: RawBuilder<unknown>, prefix: string): Condition {
  const end = endOfPrefix(prefix)
  return end === undefined
    ? sql`${number} >= ${prefix}`
    : sql`${number} >= ${prefix} and ${number} < ${end}`
}

/**
 * Returns conditions that together select the counters after the position of the page.
 * Each of them selects one range of an index.
 */
function rangesAfter({ order, after }: SenderQuery): Condition[] {
  if (!after) return [sql`true`]
  const following = sql<SqlBool>`${MSISDN} > ${after.number}`
  if (order === 'number') return [following]
  return [sql`${COUNT} = ${after.count} and ${following}`, sql`${COUNT} < ${after.count}`]
}

/**
 * Selects the senders of a page, and one more that signals a next page.
 * The counters of senders with pending messages are out of date. These senders are excluded from the counters, and
 * ordered by their actual counts.
 */
function selectSenders(session: Session, query: SenderQuery) {
  const { prefix, order, limit } = query
  const ranges = rangesAfter(query)
  const direction = order === 'count' ? sql`${COUNT} desc, ${MSISDN}` : MSISDN
  return withUpdatedSenders(session)
    .with('changed', (db) =>
      db.selectFrom('updated').select(['updated.from_msisdn as msisdn', 'updated.count']),
    )
    .with('found', (db) =>
      ranges.reduce(
        (found, range) =>
          found.unionAll((eb) =>
            eb.parens(
              eb
                .selectFrom('senders')
                .select(['msisdn', 'count'])
                .where(range)
                .where(hasPrefix(MSISDN, prefix))
                .where('msisdn', 'not in', eb.selectFrom('changed').select('msisdn'))
                .orderBy(direction)
                .limit(limit + 1),
            ),
          ),
        db
          .selectFrom('changed')
          .select(['msisdn', 'count'])
          .where(hasPrefix(MSISDN, prefix))
          .where((eb) => eb.or(ranges.map((range) => sql<SqlBool>`(${range})`))),
      ),
    )
    .selectFrom('found')
    .select(['msisdn as from', 'count'])
    .orderBy(direction)
    .limit(limit + 1)
}

/** Returns a page of senders. @param session a session in a snapshot. */
export async function senders(session: Session, query: SenderQuery): Promise<SenderPage> {
  const found: SenderCount[] = await selectSenders(session, query).execute()
  const shown = found.slice(0, query.limit)
  const extreme = (direction: 'asc' | 'desc') =>
    session
      .selectFrom('messages')
      .select('ts')
      .where('from_msisdn', '=', sql.ref<string>('shown.number'))
      .where('ts_key', '>', '')
      .orderBy('ts_key', direction)
      .orderBy('message_id', direction)
      .limit(1)
  const { rows } = await sql<{ first: string | null; last: string | null }>`
    select (${extreme('asc')}) as first, (${extreme('desc')}) as last
    from unnest(${shown.map(({ from }) => from)}::text[]) with ordinality as shown (number, position)
    order by position`.execute(session)
  const data = shown.map(({ from, count }, index) => ({
    from,
    count,
    first_message_ts: rows[index]?.first ?? null,
    last_message_ts: rows[index]?.last ?? null,
  }))
  return { data, next: nextPosition(found, query) }
}
