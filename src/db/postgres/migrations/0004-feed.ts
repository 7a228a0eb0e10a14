import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Creates the order of the feed: one row of `feed_batches` for each batch.
 * A trigger writes the rows, so that batches of earlier versions of the service, which share the database during an
 * upgrade, have them, too. Creating the trigger waits for running statements of these, so exactly the batches up to the
 * last value of the sequence have no row. `feed_state` is one row: this value, the current epoch, and the position
 * before the first message.
 */
export const feed: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    sql`create table feed_batches (
      epoch integer not null, xid xid8 not null, batch bigint not null, primary key (epoch, xid, batch)
    )`,
    sql`create table feed_state (
      id integer primary key check (id = 1),
      epoch integer not null,
      unordered_batch bigint not null,
      start_epoch integer not null,
      start_xid bigint not null,
      start_batch bigint not null,
      start_ordinal integer not null
    )`,
    sql`create function record_feed_batch() returns trigger language plpgsql as $$
      begin
        insert into feed_batches (epoch, xid, batch)
        select epoch, pg_current_xact_id(), new.batch from feed_state;
        return null;
      end
    $$`,
    sql`create trigger record_feed_batch after insert on pending_batches
      for each row execute function record_feed_batch()`,
    sql`insert into feed_state
      select 1, 1, case when is_called then last_value else 0 end, 0, 0, 0, 0 from batches`,
  ]) {
    await statement.execute(db)
  }
}
