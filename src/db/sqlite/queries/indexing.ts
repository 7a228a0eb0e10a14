import { DAY_LENGTH, MINUTE_LENGTH } from '../../key-range.ts'
import { build, compile, type Placeholders } from './compile.ts'
import { bucketOf, eb } from './expressions.ts'

/** The `seq` of the first and of the last message that one step indexes. */
type StepParameters = { first: number; last: number }

/** The messages of one step. */
function messagesOf({ first, last }: Placeholders<StepParameters>) {
  return build
    .selectFrom('messages')
    .where('messages.seq', '>=', first)
    .where('messages.seq', '<=', last)
}

/** The messages of one step, counted by the first characters of their sort keys. */
function countsBy(length: number, step: Placeholders<StepParameters>) {
  return messagesOf(step)
    .select([bucketOf(length).as('bucket'), eb.fn.countAll<number>().as('count')])
    .groupBy('bucket')
}

/** The statements that update the counters and indexes; migration 0002 describes the tables. */
export const indexingQueries = {
  /** The first and the last message of the next step, and the number of messages (0 if none are left). */
  step: compile(({ limit }: Placeholders<{ limit: number }>) =>
    build
      .selectFrom(
        build
          .selectFrom('messages')
          .select('seq')
          .where('seq', '>', (eb) => eb.selectFrom('watermark').select('watermark.seq'))
          .orderBy('seq')
          .limit(limit)
          .as('step'),
      )
      .select((eb) => [
        eb.fn.min('seq').as('first'),
        eb.fn.max('seq').as('last'),
        eb.fn.countAll<number>().as('messages'),
      ]),
  ),
  /** Inserts the senders that are new. */
  addSenders: compile((step: Placeholders<StepParameters>) =>
    build
      .insertInto('senders')
      .columns(['msisdn', 'count'])
      .expression(
        messagesOf(step)
          .select(['messages.from_msisdn', eb.lit(0).as('count')])
          .distinct()
          .orderBy('messages.from_msisdn'),
      )
      .onConflict((conflict) => conflict.column('msisdn').doNothing()),
  ),
  countSenders: compile((step: Placeholders<StepParameters>) =>
    build
      .updateTable('senders')
      .from(
        messagesOf(step)
          .select(['messages.from_msisdn', eb.fn.countAll<number>().as('count')])
          .groupBy('messages.from_msisdn')
          .as('added'),
      )
      .set((eb) => ({ count: eb('senders.count', '+', eb.ref('added.count')) }))
      .whereRef('senders.msisdn', '=', 'added.from_msisdn'),
  ),
  addSenderMessages: compile((step: Placeholders<StepParameters>) =>
    build
      .insertInto('sender_messages')
      .columns(['sender', 'ts_key', 'message_id', 'seq'])
      .expression(
        messagesOf(step)
          .innerJoin('senders', 'senders.msisdn', 'messages.from_msisdn')
          .select(['senders.id', 'messages.ts_key', 'messages.message_id', 'messages.seq'])
          .orderBy('senders.id')
          .orderBy('messages.ts_key')
          .orderBy('messages.message_id'),
      ),
  ),
  addDays: compile((step: Placeholders<StepParameters>) =>
    build
      .insertInto('days')
      .columns(['day', 'count'])
      .expression(countsBy(DAY_LENGTH, step))
      .onConflict((conflict) =>
        conflict
          .column('day')
          .doUpdateSet((eb) => ({ count: eb('days.count', '+', eb.ref('excluded.count')) })),
      ),
  ),
  addMinutes: compile((step: Placeholders<StepParameters>) =>
    build
      .insertInto('minutes')
      .columns(['minute', 'count'])
      .expression(countsBy(MINUTE_LENGTH, step))
      .onConflict((conflict) =>
        conflict
          .column('minute')
          .doUpdateSet((eb) => ({ count: eb('minutes.count', '+', eb.ref('excluded.count')) })),
      ),
  ),
  addTrigrams: compile((step: Placeholders<StepParameters>) =>
    build
      .insertInto('trigrams')
      .columns(['rowid', 'text'])
      .expression(
        messagesOf(step)
          .select(['messages.seq', eb.fn<string>('indexed_text', ['messages.text']).as('text')])
          .where('messages.text', '!=', ''),
      ),
  ),
  moveWatermark: compile(
    (step: Placeholders<{ last: number; messages: number; senders: number }>) =>
      build.updateTable('watermark').set((eb) => ({
        seq: step.last,
        messages: eb('messages', '+', step.messages),
        senders: eb('senders', '+', step.senders),
      })),
  ),
}
