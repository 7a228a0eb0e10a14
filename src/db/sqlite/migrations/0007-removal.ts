import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Creates the tables for removals, and the time of the last backup.
 * The tables have keyed digests of removed positions and of erased ids. `free_pages` is empty except while an erasure
 * overwrites free pages of the file.
 */
export const removal: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    sql`create table digest_key (id integer primary key check (id = 1), key blob not null)`,
    sql`insert into digest_key (id, key) values (1, randomblob(32))`,
    sql`create table removed_messages (seq integer primary key, digest blob not null)`,
    sql`create table erased_ids (digest blob primary key) without rowid`,
    sql`create table free_pages (id integer primary key, zeros blob not null)`,
    sql`create table last_backup (id integer primary key check (id = 1), at text not null)`,
  ]) {
    await statement.execute(db)
  }
}
