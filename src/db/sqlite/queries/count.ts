import { sql } from 'kysely'
import { TOP_SENDERS } from '../../store.ts'
import { build, compile, slot } from './compile.ts'

/** Without the index of instants: what lies beyond the watermark is few rows, met by their place. */
const KEY = sql<string>`+ts_key`

const DAY = sql<string>`substr(ts_key, 1, 10)`
const MINUTE = sql<string>`substr(ts_key, 1, 16)`

function extreme(direction: 'asc' | 'desc') {
  return compile(
    build
      .selectFrom('messages')
      .select('ts')
      .where('ts_key', '>', '')
      .orderBy('ts_key', direction)
      .orderBy('message_id', direction)
      .limit(1),
  )
}

/** Counts from the counters up to the watermark, and from the messages beyond it. */
export const countQueries = {
  watermark: compile(build.selectFrom('watermark').select(['seq', 'messages', 'senders'])),
  sender: compile(
    build.selectFrom('senders').select(['id', 'count']).where('msisdn', '=', slot<string>('from')),
  ),

  beyond: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('seq', '>', slot<number>('watermark')),
  ),
  beyondBefore: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('seq', '>', slot<number>('watermark'))
      .where(KEY, '<', slot<string>('key')),
  ),
  beyondOfSender: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('seq', '>', slot<number>('watermark'))
      .where('from_msisdn', '=', slot<string>('from')),
  ),

  daysBefore: compile(
    build
      .selectFrom('days')
      .select((eb) => eb.fn.sum<number | null>('count').as('count'))
      .where('day', '<', slot<string>('day')),
  ),
  minutesBetween: compile(
    build
      .selectFrom('minutes')
      .select((eb) => eb.fn.sum<number | null>('count').as('count'))
      .where('minute', '>=', slot<string>('from'))
      .where('minute', '<', slot<string>('before')),
  ),
  /** Rows of a minute up to the watermark, before a key in it. */
  minuteBefore: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('ts_key', '>=', slot<string>('minute'))
      .where('ts_key', '<', slot<string>('key'))
      .where('seq', '<=', slot<number>('watermark')),
  ),

  days: compile(build.selectFrom('days').select(['day as bucket', 'count']).orderBy('day')),
  beyondDays: compile(
    build
      .selectFrom('messages')
      .select((eb) => [DAY.as('bucket'), eb.fn.countAll<number>().as('count')])
      .where('seq', '>', slot<number>('watermark'))
      .groupBy('bucket'),
  ),
  minutesOfDay: compile(
    build
      .selectFrom('minutes')
      .select(['minute as bucket', 'count'])
      .where('minute', '>=', slot<string>('day'))
      .where('minute', '<', slot<string>('end'))
      .orderBy('minute'),
  ),
  beyondMinutesOfDay: compile(
    build
      .selectFrom('messages')
      .select((eb) => [MINUTE.as('bucket'), eb.fn.countAll<number>().as('count')])
      .where('seq', '>', slot<number>('watermark'))
      .where(KEY, '>=', slot<string>('day'))
      .where(KEY, '<', slot<string>('end'))
      .groupBy('bucket'),
  ),

  top: compile(
    build
      .selectFrom('senders')
      .select(['msisdn as from', 'count'])
      .orderBy('count', 'desc')
      .orderBy('msisdn')
      .limit(TOP_SENDERS),
  ),
  /** Senders beyond the watermark, with what they have in all; `known` is null for a new one. */
  beyondSenders: compile(
    build
      .selectFrom('messages')
      .leftJoin('senders', 'senders.msisdn', 'messages.from_msisdn')
      .select((eb) => [
        'from_msisdn as from',
        'senders.count as known',
        eb.fn.countAll<number>().as('count'),
      ])
      .where('seq', '>', slot<number>('watermark'))
      .groupBy('from_msisdn'),
  ),
  first: extreme('asc'),
  last: extreme('desc'),

  /** The message of a hashed id, which no id that the webhook takes is long enough for: those are not hashed. */
  position: compile(
    build
      .selectFrom('messages')
      .select(['ts_key as key', 'message_id as id'])
      .where('ts_key', '=', slot<string>('key'))
      .where(sql<boolean>`alive() and octet_length(message_id) > 512`)
      .where(sql<string>`id_hash(message_id)`, '=', slot<string>('idHash')),
  ),
  message: compile(
    build
      .selectFrom('messages')
      .select(['message_id', 'from_msisdn', 'to_msisdn', 'ts', 'text', 'created_at'])
      .where('message_id', '=', slot<string>('message_id')),
  ),
}
