import { ALL_COLUMNS } from '../../../message/columns.ts'
import { DAY_LENGTH, MINUTE_LENGTH } from '../../key-range.ts'
import { TOP_SENDERS } from '../../message-store.ts'
import { build, compile, type Placeholders } from './compile.ts'
import {
  aboveWatermark,
  bucketOf,
  bySender,
  checkCancelled,
  eb,
  isVisible,
  unindexed,
} from './expressions.ts'

/** The sort key as an expression without an index: the few rows above the watermark are read by `seq`. */
const KEY = unindexed('messages.ts_key')

const COUNT = eb.fn.countAll<number>().as('count')

type Above = { watermark: number }

/** The timestamp of the first or last message that has an instant. */
function extreme(direction: 'asc' | 'desc') {
  return compile(() =>
    build
      .selectFrom('messages')
      .select('ts')
      .where('ts_key', '>', '')
      .orderBy('ts_key', direction)
      .orderBy('message_id', direction)
      .limit(1),
  )
}

/** Messages above the watermark. */
function above(p: Placeholders<Above>) {
  return build.selectFrom('messages').where(aboveWatermark(p))
}

/**
 * Lookups, and counts of messages.
 * Messages up to the watermark are counted by the counters, those above it one by one.
 */
export const countQueries = {
  watermark: compile(() => build.selectFrom('watermark').select(['seq', 'messages', 'senders'])),
  lastBackup: compile(() => build.selectFrom('last_backup').select('at')),
  visibleRuns: compile(() => build.selectFrom('sender_runs').select('run').where(isVisible)),
  sender: compile(({ from }: Placeholders<{ from: string }>) =>
    build.selectFrom('senders').select(['id', 'count']).where('msisdn', '=', from),
  ),

  above: compile((p: Placeholders<Above>) => above(p).select(COUNT)),
  aboveBeforeKey: compile((p: Placeholders<Above & { key: string }>) =>
    above(p)
      .select(COUNT)
      .where(eb(KEY, '<', p.key)),
  ),
  aboveOfSender: compile((p: Placeholders<Above & { from: string }>) =>
    above(p).select(COUNT).where(bySender(p)),
  ),

  daysBefore: compile(({ day }: Placeholders<{ day: string }>) =>
    build
      .selectFrom('days')
      .select((eb) => eb.fn.sum<number | null>('count').as('count'))
      .where('day', '<', day),
  ),
  minutesBetween: compile(({ from, before }: Placeholders<{ from: string; before: string }>) =>
    build
      .selectFrom('minutes')
      .select((eb) => eb.fn.sum<number | null>('count').as('count'))
      .where('minute', '>=', from)
      .where('minute', '<', before),
  ),
  /** Messages of a minute up to the watermark, before a key in it. */
  minuteBeforeKey: compile((p: Placeholders<Above & { minute: string; key: string }>) =>
    build
      .selectFrom('messages')
      .select(COUNT)
      .where('ts_key', '>=', p.minute)
      .where('ts_key', '<', p.key)
      .where('seq', '<=', p.watermark),
  ),

  days: compile(() => build.selectFrom('days').select(['day as bucket', 'count']).orderBy('day')),
  aboveByDay: compile((p: Placeholders<Above>) =>
    above(p)
      .select([bucketOf(DAY_LENGTH).as('bucket'), COUNT])
      .groupBy('bucket'),
  ),
  minutesOfDay: compile(({ day, end }: Placeholders<{ day: string; end: string }>) =>
    build
      .selectFrom('minutes')
      .select(['minute as bucket', 'count'])
      .where('minute', '>=', day)
      .where('minute', '<', end)
      .orderBy('minute'),
  ),
  aboveByMinuteOfDay: compile((p: Placeholders<Above & { day: string; end: string }>) =>
    above(p)
      .select([bucketOf(MINUTE_LENGTH).as('bucket'), COUNT])
      .where(eb(KEY, '>=', p.day))
      .where(eb(KEY, '<', p.end))
      .groupBy('bucket'),
  ),

  topSenders: compile(() =>
    build
      .selectFrom('senders')
      .select(['msisdn as from', 'count'])
      .orderBy('count', 'desc')
      .orderBy('msisdn')
      .limit(TOP_SENDERS),
  ),
  /**
   * Senders of messages above the watermark.
   * `known` is their count up to the watermark, null for a new sender.
   */
  aboveBySender: compile((p: Placeholders<Above>) =>
    above(p)
      .leftJoin('senders', 'senders.msisdn', 'messages.from_msisdn')
      .select(['from_msisdn as from', 'senders.count as known', COUNT])
      .groupBy('from_msisdn'),
  ),
  first: extreme('asc'),
  last: extreme('desc'),

  /**
   * The message with a hashed id.
   * Only ids longer than the webhook accepts, which are adopted ones, are hashed.
   */
  position: compile(({ key, idHash }: Placeholders<{ key: string; idHash: string }>) =>
    build
      .selectFrom('messages')
      .select(['ts_key as key', 'message_id as id'])
      .where('ts_key', '=', key)
      .where(checkCancelled)
      .where(eb(eb.fn<number>('octet_length', ['messages.message_id']), '>', eb.lit(512)))
      .where(eb(eb.fn<string>('id_hash', ['messages.message_id']), '=', idHash)),
  ),
  message: compile(({ message_id }: Placeholders<{ message_id: string }>) =>
    build.selectFrom('messages').select(ALL_COLUMNS).where('message_id', '=', message_id),
  ),
}
