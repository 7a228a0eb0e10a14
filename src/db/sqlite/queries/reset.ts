import { build, compile } from './compile.ts'

/** Gives every message the sort key of its timestamp. */
export const repairKeys = compile(() =>
  build
    .updateTable('messages')
    .set((eb) => ({ ts_key: eb.fn<string>('instant_key', ['ts']) }))
    .where((eb) => eb('ts_key', '!=', eb.fn<string>('instant_key', ['ts']))),
)

/**
 * Empties the counters and indexes, and sets the watermark to 0.
 * To be run in this order, in one transaction.
 */
export const resetQueries = {
  senders: compile(() => build.deleteFrom('senders')),
  senderEntries: compile(() => build.deleteFrom('sender_entries')),
  senderRuns: compile(() => build.deleteFrom('sender_runs')),
  days: compile(() => build.deleteFrom('days')),
  minutes: compile(() => build.deleteFrom('minutes')),
  // A contentless FTS5 table cannot be emptied by a plain `delete`.
  trigrams: compile(() =>
    build.insertInto('trigrams').values({ rowid: 0, text: '', trigrams: 'delete-all' }),
  ),
  watermark: compile(() => build.deleteFrom('watermark')),
  start: compile(() =>
    build.insertInto('watermark').values({ id: 1, seq: 0, trigrams: 0, messages: 0, senders: 0 }),
  ),
}
