import { build, compile, slot } from './compile.ts'

/** What stores messages and shows that they can be stored. */
export const writeQueries = {
  insert: compile(
    build
      .insertInto('messages')
      .values({
        message_id: slot('message_id'),
        from_msisdn: slot('from_msisdn'),
        to_msisdn: slot('to_msisdn'),
        ts: slot('ts'),
        text: slot('text'),
        created_at: slot('created_at'),
        ts_key: slot('ts_key'),
      })
      .onConflict((conflict) => conflict.column('message_id').doNothing()),
  ),
  beat: compile(
    build
      .insertInto('heartbeat')
      .values({ id: 1, at: slot('at') })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ at: slot('at') })),
  ),
  readAny: compile(build.selectFrom('messages').select('seq').limit(1)),
  withoutInstant: compile(
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('ts_key', '=', ''),
  ),
  /** How far the derived tables are behind the messages. */
  backlog: compile(
    build.selectFrom('watermark').select((eb) => [
      'watermark.seq as watermark',
      eb
        .selectFrom('messages')
        .select((inner) => inner.fn.max('seq').as('seq'))
        .as('newest'),
    ]),
  ),
}
