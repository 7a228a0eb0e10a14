import { sql } from 'kysely'
import { build, compile, slot } from './compile.ts'

/** What keeps the derived tables: see the migration that made them. */
export const deriveQueries = {
  beyond: compile(
    build
      .selectFrom('messages')
      .select(['seq', 'message_id', 'from_msisdn', 'ts_key', 'text'])
      .where('seq', '>', (eb) => eb.selectFrom('watermark').select('watermark.seq'))
      .orderBy('seq')
      .limit(slot<number>('limit')),
  ),
  addSender: compile(
    build
      .insertInto('senders')
      .values({ msisdn: slot('msisdn'), count: slot('count') })
      .onConflict((conflict) =>
        conflict.column('msisdn').doUpdateSet({ count: sql`senders.count + excluded.count` }),
      )
      .returning(['id', 'count']),
  ),
  addSenderMessage: compile(
    build.insertInto('sender_messages').values({
      sender: slot('sender'),
      ts_key: slot('ts_key'),
      message_id: slot('message_id'),
      seq: slot('seq'),
    }),
  ),
  addDay: compile(
    build
      .insertInto('days')
      .values({ day: slot('day'), count: slot('count') })
      .onConflict((conflict) =>
        conflict.column('day').doUpdateSet({ count: sql`days.count + excluded.count` }),
      ),
  ),
  addMinute: compile(
    build
      .insertInto('minutes')
      .values({ minute: slot('minute'), count: slot('count') })
      .onConflict((conflict) =>
        conflict.column('minute').doUpdateSet({ count: sql`minutes.count + excluded.count` }),
      ),
  ),
  addTrigrams: compile(
    build.insertInto('trigrams').values({ rowid: slot('seq'), text: slot('text') }),
  ),
  move: compile(
    build.updateTable('watermark').set((eb) => ({
      seq: slot<number>('seq'),
      messages: eb('messages', '+', slot<number>('messages')),
      senders: eb('senders', '+', slot<number>('senders')),
    })),
  ),
}
