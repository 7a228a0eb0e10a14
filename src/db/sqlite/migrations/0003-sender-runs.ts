import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Creates the index of messages by sender as sorted runs, which `SenderRuns` maintains. The rows of `sender_messages`,
 * if there are any, are moved afterwards, by `prepareSenderUpgrade`. Merges of the trigram index become explicit steps of
 * the writer: FTS5's automatic ones may take a second at once.
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
    sql`insert into trigrams (trigrams, rank) values ('automerge', 0)`,
    // A merge of all segments of a level in one transaction; only if the explicit merges do not keep up.
    sql`insert into trigrams (trigrams, rank) values ('crisismerge', 256)`,
    sql`insert into trigrams (trigrams, rank) values ('usermerge', 8)`,
  ]) {
    await statement.execute(db)
  }
  const { rows } = await sql`select 1 from sender_messages limit 1`.execute(db)
  if (rows.length === 0) await sql`drop table sender_messages`.execute(db)
}
