import type { MessageRow } from '../batch.ts'
import { build, compile, type Placeholders } from './compile.ts'
import { lastSeq } from './removal.ts'

/** The statements that store messages and check that messages can be stored. */
export const writeQueries = {
  insert: compile((message: Placeholders<MessageRow & { seq: number }>) =>
    build
      .insertInto('messages')
      .values({
        seq: message.seq,
        message_id: message.message_id,
        from_msisdn: message.from_msisdn,
        to_msisdn: message.to_msisdn,
        ts: message.ts,
        text: message.text,
        created_at: message.created_at,
        ts_key: message.ts_key,
        source: message.source,
        type: message.type,
        payload: message.payload,
      })
      .onConflict((conflict) => conflict.column('message_id').doNothing()),
  ),
  /** Finds the stored message with this id, sender, recipient, timestamp and text. */
  findDuplicate: compile((message: Placeholders<MessageRow>) =>
    build
      .selectFrom('messages')
      .select('seq')
      .where('message_id', '=', message.message_id)
      .where('from_msisdn', '=', message.from_msisdn)
      .where('to_msisdn', '=', message.to_msisdn)
      .where('ts', '=', message.ts)
      .where('text', 'is not distinct from', message.text),
  ),
  lastSeq,
  anyErased: compile(() => build.selectFrom('erased_ids').select('digest').limit(1)),
  findErased: compile(({ message_id }: Placeholders<{ message_id: string }>) =>
    build
      .selectFrom('erased_ids')
      .select('digest')
      .where((eb) => eb('digest', '=', eb.fn<Uint8Array>('id_digest', [message_id]))),
  ),
  heartbeat: compile(({ at }: Placeholders<{ at: string }>) =>
    build
      .insertInto('heartbeat')
      .values({ id: 1, at })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ at })),
  ),
  readAny: compile(() => build.selectFrom('messages').select('seq').limit(1)),
  countWithoutInstant: compile(() =>
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('ts_key', '=', ''),
  ),
}
