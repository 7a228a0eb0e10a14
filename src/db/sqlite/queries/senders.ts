import { type SqlBool, sql } from 'kysely'
import { build, compile, type Placeholders } from './compile.ts'
import { aboveWatermark, checkCancelled, eb, isVisible, unindexed } from './expressions.ts'

/** A range of numbers; `start` is inclusive, `end` exclusive, null for none. */
type NumberRange = { start: string; end: string | null }

/** The number is in the range; without an end, it is compared with a blob, which is above every text. */
function inRange(number: ReturnType<typeof unindexed>, { start, end }: Placeholders<NumberRange>) {
  return sql<SqlBool>`${number} >= ${start} and ${number} < coalesce(${end}, x'')`
}

const NUMBER = sql.ref('senders.msisdn')

function countersOf() {
  return build.selectFrom('senders').select(['msisdn as from', 'count'])
}

/**
 * The `ts` of a sender's first or last message with an instant.
 * `above` is the `seq` of the candidate above the watermark; null for none.
 */
function extremeOf(direction: 'asc' | 'desc') {
  return compile(({ sender, above }: Placeholders<{ sender: number; above: number | null }>) => {
    const candidates = build
      .selectFrom('sender_runs')
      .select((eb) =>
        eb
          .selectFrom('sender_entries')
          .select('sender_entries.seq')
          .whereRef('sender_entries.run', '=', 'sender_runs.run')
          .where('sender', '=', sender)
          .where('sender_entries.ts_key', '>', '')
          .orderBy('sender_entries.ts_key', direction)
          .orderBy('sender_entries.message_id', direction)
          .limit(1)
          .as('seq'),
      )
      .where(isVisible)
      .unionAll(build.selectNoFrom(above.as('seq')))
    return build
      .selectFrom('messages')
      .select('ts')
      .where('seq', 'in', candidates)
      .orderBy(unindexed('messages.ts_key'), direction)
      .orderBy('message_id', direction)
      .limit(1)
  })
}

/** The statements of a page of senders. */
export const senderQueries = {
  byNumber: compile((p: Placeholders<NumberRange>) =>
    countersOf().where(inRange(NUMBER, p)).orderBy('msisdn'),
  ),
  ofCount: compile((p: Placeholders<NumberRange & { count: number }>) =>
    countersOf().where('count', '=', p.count).where(inRange(NUMBER, p)).orderBy('msisdn'),
  ),
  /** Uses the index of counts, even if the range of numbers is small. */
  below: compile((p: Placeholders<NumberRange & { count: number }>) =>
    countersOf()
      .where(checkCancelled)
      .where('count', '<', p.count)
      .where(inRange(unindexed('senders.msisdn'), p))
      .orderBy('count', 'desc')
      .orderBy('msisdn'),
  ),
  /** The messages with an instant above the watermark, of the senders in a JSON array, in page order. */
  aboveOfSenders: compile((p: Placeholders<{ watermark: number; senders: string }>) =>
    build
      .selectFrom('messages')
      .select(['seq', 'from_msisdn as from'])
      .where(aboveWatermark(p))
      .where(eb(unindexed('messages.ts_key'), '>', ''))
      .where('from_msisdn', 'in', sql<string>`(select value from json_each(${p.senders}))`)
      .orderBy(unindexed('messages.ts_key'))
      .orderBy('message_id'),
  ),
  first: extremeOf('asc'),
  last: extremeOf('desc'),
}
