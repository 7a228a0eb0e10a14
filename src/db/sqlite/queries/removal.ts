import { sql } from 'kysely'
import { DAY_LENGTH, MINUTE_LENGTH } from '../../key-range.ts'
import { build, compile, type Placeholders } from './compile.ts'
import { eb } from './expressions.ts'
import { buildRemoval, selectionQueries } from './removal-selection.ts'

/** The watermark of the counters and the sender index. */
type Watermark = { watermark: number }

/** The selected messages that the counters and the sender index cover. */
function indexed({ watermark }: Placeholders<Watermark>) {
  return buildRemoval.selectFrom('temp.selected as selected').where('selected.seq', '<=', watermark)
}

/** Counts the selected messages by the first characters of their sort keys. */
function countsBy(length: number, p: Placeholders<Watermark>) {
  return indexed(p)
    .select((eb) => [
      eb.fn<string>('substr', ['selected.ts_key', eb.lit(1), eb.lit(length)]).as('bucket'),
      eb.fn.countAll<number>().as('count'),
    ])
    .groupBy('bucket')
}

/** The highest `seq` that a message has or had. */
const LAST_SEQ = eb.fn<number>('max', [
  eb.fn.coalesce(
    build.selectFrom('messages').select((eb) => eb.fn.max('seq').as('seq')),
    eb.lit(0),
  ),
  eb.fn.coalesce(
    build.selectFrom('removed_messages').select((eb) => eb.fn.max('seq').as('seq')),
    eb.lit(0),
  ),
  eb.fn.coalesce(build.selectFrom('feed_start').select('seq'), eb.lit(0)),
])

/** The statements that remove messages; see `Removal`. */
export const removalQueries = {
  select: selectionQueries,
  /** FTS5 marks the rows as deleted in each segment that has them. */
  trigrams: compile(({ trigrams }: Placeholders<{ trigrams: number }>) =>
    buildRemoval
      .deleteFrom('trigrams')
      .where('rowid', 'in', (eb) =>
        eb
          .selectFrom('temp.selected as selected')
          .select('selected.seq')
          .where('selected.seq', '<=', trigrams),
      ),
  ),
  runs: compile(() => build.selectFrom('sender_runs').select('run')),
  senderEntries: compile((p: Placeholders<Watermark & { run: number }>) =>
    buildRemoval
      .deleteFrom('sender_entries')
      .where('run', '=', p.run)
      .where((eb) =>
        eb(
          eb.refTuple('sender', 'ts_key', 'message_id'),
          'in',
          indexed(p)
            .select(['selected.sender', 'selected.ts_key', 'selected.message_id'])
            .$castTo<{ sender: number; ts_key: string; message_id: string }>()
            .$asTuple('sender', 'ts_key', 'message_id'),
        ),
      ),
  ),
  countSenders: compile((p: Placeholders<Watermark>) =>
    buildRemoval
      .updateTable('senders')
      .from(
        indexed(p)
          .select(['selected.sender', eb.fn.countAll<number>().as('count')])
          .groupBy('selected.sender')
          .as('removed'),
      )
      .set((eb) => ({ count: eb('senders.count', '-', eb.ref('removed.count')) }))
      .whereRef('senders.id', '=', 'removed.sender'),
  ),
  senders: compile((p: Placeholders<Watermark>) =>
    buildRemoval
      .deleteFrom('senders')
      .where('count', '=', 0)
      .where('id', 'in', indexed(p).select('selected.sender').$castTo<{ sender: number }>()),
  ),
  countDays: compile((p: Placeholders<Watermark>) =>
    buildRemoval
      .updateTable('days')
      .from(countsBy(DAY_LENGTH, p).as('removed'))
      .set((eb) => ({ count: eb('days.count', '-', eb.ref('removed.count')) }))
      .whereRef('days.day', '=', 'removed.bucket'),
  ),
  days: compile((p: Placeholders<Watermark>) =>
    buildRemoval
      .deleteFrom('days')
      .where('count', '=', 0)
      .where(
        'day',
        'in',
        buildRemoval.selectFrom(countsBy(DAY_LENGTH, p).as('removed')).select('bucket'),
      ),
  ),
  countMinutes: compile((p: Placeholders<Watermark>) =>
    buildRemoval
      .updateTable('minutes')
      .from(countsBy(MINUTE_LENGTH, p).as('removed'))
      .set((eb) => ({ count: eb('minutes.count', '-', eb.ref('removed.count')) }))
      .whereRef('minutes.minute', '=', 'removed.bucket'),
  ),
  minutes: compile((p: Placeholders<Watermark>) =>
    buildRemoval
      .deleteFrom('minutes')
      .where('count', '=', 0)
      .where(
        'minute',
        'in',
        buildRemoval.selectFrom(countsBy(MINUTE_LENGTH, p).as('removed')).select('bucket'),
      ),
  ),
  watermark: compile((p: Placeholders<Watermark & { senders: number }>) =>
    buildRemoval.updateTable('watermark').set((eb) => ({
      messages: eb(
        'messages',
        '-',
        indexed(p).select((eb) => eb.fn.countAll<number>().as('count')),
      ),
      senders: eb('senders', '-', p.senders),
    })),
  ),
  erasedIds: compile(() =>
    buildRemoval
      .insertInto('erased_ids')
      .columns(['digest'])
      .expression((eb) =>
        eb
          .selectFrom('temp.selected as selected')
          .select((eb) => eb.fn<Uint8Array>('id_digest', ['selected.message_id']).as('digest'))
          // Without a condition SQLite reads `on conflict` as the condition of a join.
          .where(eb.lit(true)),
      )
      .onConflict((conflict) => conflict.doNothing()),
  ),
  addErasedId: compile(({ message_id }: Placeholders<{ message_id: string }>) =>
    build
      .insertInto('erased_ids')
      .values((eb) => ({ digest: eb.fn<Uint8Array>('id_digest', [message_id]) }))
      .onConflict((conflict) => conflict.doNothing()),
  ),
  positions: compile(() =>
    buildRemoval
      .insertInto('removed_messages')
      .columns(['seq', 'digest'])
      .expression((eb) =>
        eb
          .selectFrom('temp.selected as selected')
          .select((eb) => [
            'selected.seq',
            eb.fn<Uint8Array>('position_digest', ['selected.message_id']).as('digest'),
          ])
          .orderBy('selected.seq'),
      ),
  ),
  messages: compile(() =>
    buildRemoval
      .deleteFrom('messages')
      .where('seq', 'in', (eb) =>
        eb.selectFrom('temp.selected as selected').select('selected.seq'),
      ),
  ),
  /** Moves the start of the feed before its first message; after the last removed one if it is empty. */
  feedStart: compile(() =>
    build.updateTable('feed_start').set((eb) => ({
      seq: eb.fn.coalesce(
        sql<number>`${eb.selectFrom('messages').select((eb) => eb.fn.min('seq').as('seq'))} - 1`,
        LAST_SEQ,
      ),
    })),
  ),
  /** Deletes the positions that no cursor needs, and those of more than `window` messages ago. */
  trimPositions: compile(({ window }: Placeholders<{ window: number }>) =>
    build
      .deleteFrom('removed_messages')
      .where((eb) =>
        eb.or([
          eb('seq', '<=', eb.selectFrom('feed_start').select('seq')),
          eb('seq', '<', eb(LAST_SEQ, '-', window)),
        ]),
      ),
  ),
  clear: compile(() => buildRemoval.deleteFrom('temp.selected')),
  key: compile(() => build.selectFrom('digest_key').select('key')),
}

/** The highest `seq` that a message has or had; a later message must not get it again. */
export const lastSeq = compile(() => build.selectNoFrom(LAST_SEQ.as('seq')))
