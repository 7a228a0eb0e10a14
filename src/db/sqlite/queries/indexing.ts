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

/** The statements that update the counters and indexes; `SqliteSchema` describes the tables. */
export const indexingQueries = {
  /** The watermarks and the newest message. */
  progress: compile(() =>
    build.selectFrom('watermark').select((eb) => [
      'watermark.seq as watermark',
      'watermark.trigrams',
      eb
        .selectFrom('messages')
        .select((inner) => inner.fn.max('seq').as('seq'))
        .as('newest'),
    ]),
  ),
  /** The first and the last of the next messages between two watermarks, and their number. */
  next: compile((p: Placeholders<{ after: number; until: number; limit: number }>) =>
    build
      .selectFrom(
        build
          .selectFrom('messages')
          .select('seq')
          .where('seq', '>', p.after)
          .where('seq', '<=', p.until)
          .orderBy('seq')
          .limit(p.limit)
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
          .groupBy('messages.from_msisdn'),
      )
      .onConflict((conflict) => conflict.column('msisdn').doNothing()),
  ),
  addSenderEntries: compile((step: Placeholders<StepParameters & { run: number }>) =>
    build
      .insertInto('sender_entries')
      .columns(['run', 'sender', 'ts_key', 'message_id', 'seq'])
      .expression(
        messagesOf(step)
          .innerJoin('senders', 'senders.msisdn', 'messages.from_msisdn')
          .select([
            step.run.as('run'),
            'senders.id',
            'messages.ts_key',
            'messages.message_id',
            'messages.seq',
          ])
          .orderBy('senders.id')
          .orderBy('messages.ts_key')
          .orderBy('messages.message_id'),
      ),
  ),
  /** Adds the messages of a new run to the counts of their senders, in the order of the run. */
  countSenders: compile(({ run }: Placeholders<{ run: number }>) =>
    build
      .updateTable('senders')
      .from(
        build
          .selectFrom('sender_entries')
          .select(['sender', eb.fn.countAll<number>().as('count')])
          .where('run', '=', run)
          .groupBy('sender')
          .as('added'),
      )
      .set((eb) => ({ count: eb('senders.count', '+', eb.ref('added.count')) }))
      .whereRef('senders.id', '=', 'added.sender'),
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
  /** Merges segments of the trigram index until about this many pages of it are written. */
  mergeTrigrams: compile(({ pages }: Placeholders<{ pages: number }>) =>
    build
      .insertInto('trigrams')
      .columns(['trigrams', 'rank'])
      .values({ trigrams: 'merge', rank: pages }),
  ),
  moveTrigrams: compile(({ last }: Placeholders<{ last: number }>) =>
    build.updateTable('watermark').set({ trigrams: last }),
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
