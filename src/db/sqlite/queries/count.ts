import { sql } from 'kysely'
import { MESSAGE_COLUMNS } from '../../../message/message.ts'
import { TOP_SENDERS } from '../../message-store.ts'
import { build, compile, parameter } from './compile.ts'

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
    build
      .selectFrom('senders')
      .select(['id', 'count'])
      .where('msisdn', '=', parameter<string>('from')),
  ),

  beyond: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('seq', '>', parameter<number>('watermark')),
  ),
  beyondBefore: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('seq', '>', parameter<number>('watermark'))
      .where(KEY, '<', parameter<string>('key')),
  ),
  beyondOfSender: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('seq', '>', parameter<number>('watermark'))
      .where('from_msisdn', '=', parameter<string>('from')),
  ),

  daysBefore: compile(
    build
      .selectFrom('days')
      .select((eb) => eb.fn.sum<number | null>('count').as('count'))
      .where('day', '<', parameter<string>('day')),
  ),
  minutesBetween: compile(
    build
      .selectFrom('minutes')
      .select((eb) => eb.fn.sum<number | null>('count').as('count'))
      .where('minute', '>=', parameter<string>('from'))
      .where('minute', '<', parameter<string>('before')),
  ),
  /** Rows of a minute up to the watermark, before a key in it. */
  minuteBefore: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('ts_key', '>=', parameter<string>('minute'))
      .where('ts_key', '<', parameter<string>('key'))
      .where('seq', '<=', parameter<number>('watermark')),
  ),

  days: compile(build.selectFrom('days').select(['day as bucket', 'count']).orderBy('day')),
  beyondDays: compile(
    build
      .selectFrom('messages')
      .select((eb) => [DAY.as('bucket'), eb.fn.countAll<number>().as('count')])
      .where('seq', '>', parameter<number>('watermark'))
      .groupBy('bucket'),
  ),
  minutesOfDay: compile(
    build
      .selectFrom('minutes')
      .select(['minute as bucket', 'count'])
      .where('minute', '>=', parameter<string>('day'))
      .where('minute', '<', parameter<string>('end'))
      .orderBy('minute'),
  ),
  beyondMinutesOfDay: compile(
    build
      .selectFrom('messages')
      .select((eb) => [MINUTE.as('bucket'), eb.fn.countAll<number>().as('count')])
      .where('seq', '>', parameter<number>('watermark'))
      .where(KEY, '>=', parameter<string>('day'))
      .where(KEY, '<', parameter<string>('end'))
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
      .where('seq', '>', parameter<number>('watermark'))
      .groupBy('from_msisdn'),
  ),
  first: extreme('asc'),
  last: extreme('desc'),

  /** The message of a hashed id, which no id that the webhook takes is long enough for: those are not hashed. */
  position: compile(
    build
      .selectFrom('messages')
      .select(['ts_key as key', 'message_id as id'])
      .where('ts_key', '=', parameter<string>('key'))
      .where(sql<boolean>`alive() and octet_length(message_id) > 512`)
      .where(sql<string>`id_hash(message_id)`, '=', parameter<string>('idHash')),
  ),
  message: compile(
    build
      .selectFrom('messages')
      .select(MESSAGE_COLUMNS)
      .where('message_id', '=', parameter<string>('message_id')),
  ),
}
