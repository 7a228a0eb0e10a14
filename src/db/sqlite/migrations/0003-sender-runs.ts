import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Creates the index of messages by sender as sorted runs, which `SenderRuns` maintains.
 * `prepareSenderUpgrade` moves the rows of `sender_messages` afterwards. The trigram index gets a watermark of its own,
 * and the writer merges it in explicit steps, because an automatic merge of FTS5 may take a second.
 */
export const senderRuns: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    sql`create table sender_runs (
      run integer primary key, level integer not null, state text not null, target integer
    )`,
    sql`create table sender_entries (
      run integer not null, sender integer not null, ts_key text not null, message_id text not null,
      seq integer not null, primary key (run, sender, ts_key, message_id)
    ) without rowid`,
    sql`alter table watermark add column trigrams integer not null default 0`,
    sql`update watermark set trigrams = seq`,
    sql`insert into trigrams (trigrams, rank) values ('automerge', 0)`,
    // At this many segments of a level, FTS5 merges all of them in one transaction. It is far above what explicit merges
    // leave, so that this happens only if they do not keep up.
    sql`insert into trigrams (trigrams, rank) values ('crisismerge', 256)`,
    // An explicit merge begins with 16 segments of a level: with fewer, each row is merged more often.
    sql`insert into trigrams (trigrams, rank) values ('usermerge', 16)`,
  ]) {
    await statement.execute(db)
  }
  const { rows } = await sql`select 1 from sender_messages limit 1`.execute(db)
  if (rows.length === 0) await sql`drop table sender_messages`.execute(db)
}
