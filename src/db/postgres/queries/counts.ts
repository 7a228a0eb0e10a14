import { sql } from 'kysely'
import { ALL_KEYS, DAY_LENGTH, endOf, type KeyRange, MINUTE_LENGTH } from '../../key-range.ts'
import type { Minute } from '../../page.ts'
import type { Session } from '../pool.ts'

/**
 * Messages of batches that are not in the counters yet. `offset 0` keeps the planner from turning the lateral join into
 * a hash join over a sequential scan of `messages`, which it prefers when it expects larger batches than there are:
 * each batch is looked up in the primary key, whatever the statistics say.
 */
export function uncounted(session: Session) {
  return session.selectFrom('uncounted').innerJoinLateral(
    (eb) =>
      eb
        .selectFrom('messages')
        .select(['from_msisdn', 'ts_key'])
        .whereRef('messages.batch', '=', 'uncounted.batch')
        .offset(eb.lit(0))
        .as('recent'),
    (join) => join.onTrue(),
  )
}

const int8 = (value: unknown) => sql<number>`coalesce(${value}, 0)::bigint`

/** All messages there are. */
export async function countAll(session: Session): Promise<number> {
  const { count } = await session
    .selectNoFrom((eb) =>
      sql<number>`${eb.selectFrom('totals').select('messages')} + ${int8(
        eb.selectFrom('uncounted').select((eb) => eb.fn.sum('messages').as('sum')),
      )}`.as('count'),
    )
    .executeTakeFirstOrThrow()
  return count
}

/** All messages of a sender. */
export async function countOfSender(session: Session, from: string): Promise<number> {
  const { count } = await session
    .selectNoFrom((eb) =>
      sql<number>`${int8(
        eb.selectFrom('senders').select('count').where('msisdn', '=', from),
      )} + ${uncounted(session)
        .select((eb) => eb.fn.countAll().as('count'))
        .where('from_msisdn', '=', from)}`.as('count'),
    )
    .executeTakeFirstOrThrow()
  return count
}

/** How many messages have a key before this one: from days, minutes, and the messages of one minute. */
function before(session: Session, key: string) {
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
  const beyond = uncounted(session)
    .select((eb) => eb.fn.countAll().as('count'))
    .where('ts_key', '<', minute)
  const inMinute = session
    .selectFrom('messages')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('ts_key', '>=', minute)
    .where('ts_key', '<', key)
  return sql<number>`(${int8(days)} + ${int8(minutes)} + ${beyond} + ${inMinute})`
}

/** How many messages have a key before either end of the range. */
export async function countBefore(
  session: Session,
  { since, until }: KeyRange,
): Promise<{ since: number; until: number }> {
  return await session
    .selectNoFrom([before(session, since).as('since'), before(session, until).as('until')])
    .executeTakeFirstOrThrow()
}

/** A day or a minute, its messages, and how many lie before it. */
interface Bucket {
  bucket: string
  before: number
  count: number
}

/** The bucket among the counted and the uncounted that holds the message of this rank. */
async function bucketOfRank(
  session: Session,
  table: 'days' | 'minutes',
  rank: number,
  { since, until }: KeyRange,
): Promise<Bucket> {
  const [name, length] =
    table === 'days' ? (['day', DAY_LENGTH] as const) : (['minute', MINUTE_LENGTH] as const)
  const { rows } = await sql<Bucket>`
    select bucket, before::bigint, count::bigint from (
      select bucket, count, sum(count) over (order by bucket) - count as before from (
        select bucket, sum(count) as count from (
          select ${sql.ref(name)} as bucket, count from ${sql.table(table)}
          where ${sql.ref(name)} >= ${since} and ${sql.ref(name)} < ${until}
          union all
          ${uncounted(session)
            .select([
              sql`substr(ts_key, 1, ${sql.lit(length)})`.as('bucket'),
              sql.lit(1).as('count'),
            ])
            .where('ts_key', '>=', since)
            .where('ts_key', '<', until)}
        ) as buckets group by bucket
      ) as counts
    ) as ranks where before <= ${rank} and ${rank} < before + count`.execute(session)
  const [found] = rows
  if (!found) throw new RangeError(`no message has the rank ${rank}`)
  return found
}

/** The minute that holds the message of this rank in the order of keys. */
export async function minuteOfRank(session: Session, rank: number): Promise<Minute> {
  const day = await bucketOfRank(session, 'days', rank, ALL_KEYS)
  const range = { since: day.bucket, until: endOf(day.bucket) }
  const minute = await bucketOfRank(session, 'minutes', rank - day.before, range)
  return {
    since: minute.bucket,
    until: endOf(minute.bucket),
    before: day.before + minute.before,
    count: minute.count,
  }
}
