import { type RawBuilder, sql } from 'kysely'
import { DAY_LENGTH, MINUTE_LENGTH } from '../../key-range.ts'
import { build, compile, parameter } from './compile.ts'

/** The messages of one step: those that are derived from in one transaction. */
const step = build
  .selectFrom('messages')
  .where('messages.seq', '>=', parameter<number>('first'))
  .where('messages.seq', '<=', parameter<number>('last'))

/** The beginning of a message's sort key, by which it is counted. */
export function bucketOf(length: number): RawBuilder<string> {
  return sql`substr(${sql.ref('messages.ts_key')}, 1, ${sql.lit(length)})`
}

/** Messages of a step by the beginning of their sort key, as rows of a table of counters. */
function countsBy(length: number) {
  return step
    .select((eb) => [bucketOf(length).as('bucket'), eb.fn.countAll<number>().as('count')])
    .groupBy('bucket')
}

/** What is there already, and what comes on top of it. */
function added(table: string): RawBuilder<number> {
  return sql`${sql.ref(`${table}.count`)} + excluded.count`
}

/** What keeps the derived tables: see the migration that made them. */
export const indexingQueries = {
  /** The first and the last message of the next step, and how many it has; none where nothing is behind. */
  step: compile(
    build
      .selectFrom(
        build
          .selectFrom('messages')
          .select('seq')
          .where('seq', '>', (eb) => eb.selectFrom('watermark').select('watermark.seq'))
          .orderBy('seq')
          .limit(parameter<number>('limit'))
          .as('behind'),
      )
      .select((eb) => [
        eb.fn.min('seq').as('first'),
        eb.fn.max('seq').as('last'),
        eb.fn.countAll<number>().as('messages'),
      ]),
  ),
  /** As many rows as there are new senders. */
  addSenders: compile(
    build
      .insertInto('senders')
      .columns(['msisdn', 'count'])
      .expression(
        step
          .select(['messages.from_msisdn', sql<number>`0`.as('count')])
          .distinct()
          .orderBy('messages.from_msisdn'),
      )
      .onConflict((conflict) => conflict.column('msisdn').doNothing()),
  ),
  countSenders: compile(
    build
      .updateTable('senders')
      .from(
        step
          .select((eb) => ['messages.from_msisdn', eb.fn.countAll<number>().as('count')])
          .groupBy('messages.from_msisdn')
          .as('added'),
      )
      .set((eb) => ({ count: eb('senders.count', '+', eb.ref('added.count')) }))
      .whereRef('senders.msisdn', '=', 'added.from_msisdn'),
  ),
  addSenderMessages: compile(
    build
      .insertInto('sender_messages')
      .columns(['sender', 'ts_key', 'message_id', 'seq'])
      .expression(
        step
          .innerJoin('senders', 'senders.msisdn', 'messages.from_msisdn')
          .select(['senders.id', 'messages.ts_key', 'messages.message_id', 'messages.seq'])
          .orderBy('senders.id')
          .orderBy('messages.ts_key')
          .orderBy('messages.message_id'),
      ),
  ),
  addDays: compile(
    build
      .insertInto('days')
      .columns(['day', 'count'])
      .expression(countsBy(DAY_LENGTH))
      .onConflict((conflict) => conflict.column('day').doUpdateSet({ count: added('days') })),
  ),
  addMinutes: compile(
    build
      .insertInto('minutes')
      .columns(['minute', 'count'])
      .expression(countsBy(MINUTE_LENGTH))
      .onConflict((conflict) => conflict.column('minute').doUpdateSet({ count: added('minutes') })),
  ),
  addTrigrams: compile(
    build
      .insertInto('trigrams')
      .columns(['rowid', 'text'])
      .expression(
        step
          .select((eb) => [
            'messages.seq',
            sql<string>`indexed_text(${eb.ref('messages.text')})`.as('text'),
          ])
          .where('messages.text', '!=', ''),
      ),
  ),
  move: compile(
    build.updateTable('watermark').set((eb) => ({
      seq: parameter<number>('last'),
      messages: eb('messages', '+', parameter<number>('messages')),
      senders: eb('senders', '+', parameter<number>('senders')),
    })),
  ),
}
