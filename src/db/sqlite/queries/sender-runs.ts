import { sql } from 'kysely'
import { FAN_IN, type SenderEntry, type SenderRun } from '../schema.ts'
import { build, compile, type Placeholders } from './compile.ts'

/** The position of an entry within a run. */
export type EntryPosition = Pick<SenderEntry, 'sender' | 'ts_key' | 'message_id'>

/** A merge of the runs in the JSON array `sources`, continued after a position. */
type MergeParameters = EntryPosition & { target: number; sources: string; limit: number }

/**
 * Entries of the source run with this index, after the position that the merge has reached.
 * There are none if the merge has fewer sources: the JSON array yields null, which equals no run.
 */
function entriesOf(p: Placeholders<MergeParameters>, index: number) {
  return build
    .selectFrom('sender_entries')
    .select(['sender', 'ts_key', 'message_id', 'seq'])
    .where('run', '=', sql<number>`${p.sources} ->> ${sql.lit(index)}`)
    .where(sql<boolean>`(sender, ts_key, message_id) > (${p.sender}, ${p.ts_key}, ${p.message_id})`)
}

/** The statements that maintain the sender index; see `SenderRuns`. */
export const senderRunQueries = {
  /** All runs, the oldest first. */
  list: compile(() => build.selectFrom('sender_runs').selectAll().orderBy('run')),
  add: compile((p: Placeholders<Pick<SenderRun, 'level' | 'state'>>) =>
    build
      .insertInto('sender_runs')
      .values({ level: p.level, state: p.state, target: null })
      .returning('run'),
  ),
  setState: compile(
    (p: Placeholders<Pick<SenderRun, 'run' | 'state'> & { target: number | null }>) =>
      build
        .updateTable('sender_runs')
        .set({ state: p.state, target: p.target })
        .where('run', '=', p.run),
  ),
  remove: compile(({ run }: Placeholders<{ run: number }>) =>
    build.deleteFrom('sender_runs').where('run', '=', run),
  ),

  /**
   * Copies the next entries of the sources in order.
   * SQLite merges the terms of the compound select while it reads them.
   */
  merge: compile((p: Placeholders<MergeParameters>) => {
    let entries = entriesOf(p, 0).unionAll(entriesOf(p, 1))
    for (let index = 2; index < FAN_IN; index++) entries = entries.unionAll(entriesOf(p, index))
    const next = entries.orderBy('sender').orderBy('ts_key').orderBy('message_id').limit(p.limit)
    return build
      .insertInto('sender_entries')
      .columns(['run', 'sender', 'ts_key', 'message_id', 'seq'])
      .expression(
        build
          .selectFrom(next.as('next'))
          .select([p.target.as('run'), 'sender', 'ts_key', 'message_id', 'seq']),
      )
  }),
  /** The last entry of a run. */
  last: compile(({ run }: Placeholders<{ run: number }>) =>
    build
      .selectFrom('sender_entries')
      .select(['sender', 'ts_key', 'message_id'])
      .where('run', '=', run)
      .orderBy('sender', 'desc')
      .orderBy('ts_key', 'desc')
      .orderBy('message_id', 'desc')
      .limit(1),
  ),

  /** The entry at an offset within a run. */
  at: compile(({ run, offset }: Placeholders<{ run: number; offset: number }>) =>
    build
      .selectFrom('sender_entries')
      .select(['sender', 'ts_key', 'message_id'])
      .where('run', '=', run)
      .orderBy('sender')
      .orderBy('ts_key')
      .orderBy('message_id')
      .limit(1)
      .offset(offset),
  ),
  deleteBefore: compile((p: Placeholders<EntryPosition & { run: number }>) =>
    build
      .deleteFrom('sender_entries')
      .where('run', '=', p.run)
      .where(
        sql<boolean>`(sender, ts_key, message_id) < (${p.sender}, ${p.ts_key}, ${p.message_id})`,
      ),
  ),
  deleteAll: compile(({ run }: Placeholders<{ run: number }>) =>
    build.deleteFrom('sender_entries').where('run', '=', run),
  ),
}
