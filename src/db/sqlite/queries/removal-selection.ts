import { build, compile, type Placeholders } from './compile.ts'
import { inVisibleRun } from './positions.ts'

/** A message that a step removes, in the temporary table of `Removal`. */
interface SelectedMessage {
  seq: number
  /** The sender's `id` in `senders`; null if it has none. */
  sender: number | null
  ts_key: string
  message_id: string
}

/** The query builder, with the table of the messages that a step removes. */
export const buildRemoval = build.withTables<{ 'temp.selected': SelectedMessage }>()

type Limit = { limit: number }

/** Messages with the columns of `selected`. */
const MESSAGES = build
  .selectFrom('messages')
  .leftJoin('senders', 'senders.msisdn', 'messages.from_msisdn')
  .select(['messages.seq', 'senders.id as sender', 'messages.ts_key', 'messages.message_id'])

/** Adds messages to those that the step removes. */
function select(messages: typeof MESSAGES) {
  return buildRemoval
    .insertInto('temp.selected')
    .columns(['seq', 'sender', 'ts_key', 'message_id'])
    .expression(messages)
}

/** The statements that select the messages that a step removes. */
export const selectionQueries = {
  /** Selects the oldest messages whose instant is before a sort key. */
  expired: compile(({ before, limit }: Placeholders<{ before: string } & Limit>) =>
    select(
      MESSAGES.where('ts_key', '>', '')
        .where('ts_key', '<', before)
        .orderBy('ts_key')
        .orderBy('message_id')
        .limit(limit),
    ),
  ),
  /** The sort key of the oldest message that has an instant. */
  oldest: compile(() =>
    build
      .selectFrom('messages')
      .select('ts_key')
      .where('ts_key', '>', '')
      .orderBy('ts_key')
      .limit(1),
  ),
  /** Messages without an instant, in the order of their ids, after an id. */
  undated: compile(({ after, limit }: Placeholders<{ after: string } & Limit>) =>
    build
      .selectFrom('messages')
      .select(['message_id', 'created_at'])
      .where('ts_key', '=', '')
      .where('message_id', '>', after)
      .orderBy('message_id')
      .limit(limit),
  ),
  byId: compile(({ message_id }: Placeholders<{ message_id: string }>) =>
    select(MESSAGES.where('message_id', '=', message_id)),
  ),
  /** Selects messages of a sender that the sender index covers. */
  bySender: compile(({ from, limit }: Placeholders<{ from: string } & Limit>) =>
    buildRemoval
      .insertInto('temp.selected')
      .columns(['seq', 'sender', 'ts_key', 'message_id'])
      .expression(
        build
          .selectFrom('senders')
          .innerJoin('sender_entries', 'sender_entries.sender', 'senders.id')
          .select([
            'sender_entries.seq',
            'senders.id',
            'sender_entries.ts_key',
            'sender_entries.message_id',
          ])
          .where('senders.msisdn', '=', from)
          .where(inVisibleRun)
          .limit(limit),
      ),
  ),
  /** Selects messages of a sender above the watermark. */
  aboveBySender: compile((p: Placeholders<{ from: string } & { watermark: number } & Limit>) =>
    select(
      MESSAGES.where('messages.seq', '>', p.watermark)
        .where('messages.from_msisdn', '=', p.from)
        .orderBy('messages.seq')
        .limit(p.limit),
    ),
  ),
}
