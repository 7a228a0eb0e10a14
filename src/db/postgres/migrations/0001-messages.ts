import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Messages and their counters.
 * Text columns are compared by their bytes (`collate "C"`). Each batch that the counters do not include yet has a row
 * in `pending_batches`. Reads add the messages of these batches, so that results are exact although inserts update no
 * counters.
 */
export const messages: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    sql`create sequence batches`,
    sql`create table messages (
      batch bigint not null,
      ordinal integer not null,
      message_id text collate "C" not null,
      from_msisdn text collate "C" not null,
      to_msisdn text collate "C" not null,
      ts text collate "C" not null,
      text text collate "C",
      folded text collate "C",
      search_key text collate "C",
      created_at text collate "C" not null,
      ts_key text collate "C" not null,
      primary key (batch, ordinal)
    )`,
    // Before the first analyze, the planner would assume that a batch is a large part of the table.
    sql`alter table messages alter column batch set (n_distinct = -0.02)`,
    sql`create unique index messages_by_id on messages (message_id)`,
    sql`create index messages_by_instant on messages (ts_key, message_id)`,
    sql`create index messages_by_sender on messages (from_msisdn, ts_key, message_id)`,
    sql`create table pending_batches (batch bigint primary key, messages integer not null)`,
    sql`create table totals (
      id integer primary key check (id = 1), messages bigint not null, senders bigint not null
    )`,
    sql`insert into totals (id, messages, senders) values (1, 0, 0)`,
    sql`create table senders (msisdn text collate "C" primary key, count bigint not null)`,
    sql`create index senders_by_count on senders (count desc, msisdn)`,
    sql`create table days (day text collate "C" primary key, count bigint not null)`,
    sql`create table minutes (minute text collate "C" primary key, count bigint not null)`,
    sql`create table heartbeat (id integer primary key check (id = 1), at text not null)`,
  ]) {
    await statement.execute(db)
  }
}
