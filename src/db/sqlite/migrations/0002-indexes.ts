import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Creates the counters and indexes.
 * They are the number of messages of each minute, day and sender, each sender's messages in the order of pages, and a
 * trigram index of the folded texts. They cover the messages up to the watermark, are updated after the messages were
 * committed, and can be rebuilt from the messages.
 */
export const indexes: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    sql`create table watermark (
      id integer primary key check (id = 1), seq integer not null,
      messages integer not null, senders integer not null
    )`,
    sql`insert into watermark (id, seq, messages, senders) values (1, 0, 0, 0)`,
    sql`create table senders (
      id integer primary key, msisdn text not null unique, count integer not null
    )`,
    sql`create index senders_by_count on senders (count desc, msisdn)`,
    sql`create table sender_messages (
      sender integer not null, ts_key text not null, message_id text not null, seq integer not null,
      primary key (sender, ts_key, message_id)
    ) without rowid`,
    sql`create table days (day text primary key, count integer not null) without rowid`,
    sql`create table minutes (minute text primary key, count integer not null) without rowid`,
    sql`create virtual table trigrams using fts5 (
      text, content = '', contentless_delete = 1, tokenize = 'trigram case_sensitive 1'
    )`,
    // FTS5 sorts what a transaction adds in memory. With the default of 1 MiB before a flush it is a fifth slower.
    sql`insert into trigrams (trigrams, rank) values ('hashsize', 8388608)`,
    // Fewer automatic merges than by default: a quarter less work per row, and searches are as fast.
    sql`insert into trigrams (trigrams, rank) values ('automerge', 16)`,
  ]) {
    await statement.execute(db)
  }
}
