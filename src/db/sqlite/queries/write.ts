import { build, compile, parameter } from './compile.ts'

/** What stores messages and shows that they can be stored. */
export const writeQueries = {
  insert: compile(
    build
      .insertInto('messages')
      .values({
        message_id: parameter('message_id'),
        from_msisdn: parameter('from_msisdn'),
        to_msisdn: parameter('to_msisdn'),
        ts: parameter('ts'),
        text: parameter('text'),
        created_at: parameter('created_at'),
        ts_key: parameter('ts_key'),
      })
      .onConflict((conflict) => conflict.column('message_id').doNothing()),
  ),
  /** Yields a row where the message is stored with just this content. */
  sameAsStored: compile(
    build
      .selectFrom('messages')
      .select('seq')
      .where('message_id', '=', parameter<string>('message_id'))
      .where('from_msisdn', '=', parameter<string>('from_msisdn'))
      .where('to_msisdn', '=', parameter<string>('to_msisdn'))
      .where('ts', '=', parameter<string>('ts'))
      // As `=`, and a text that is missing equals one that is missing.
      .where('text', 'is', parameter<null>('text')),
  ),
  beat: compile(
    build
      .insertInto('heartbeat')
      .values({ id: 1, at: parameter('at') })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ at: parameter('at') })),
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
