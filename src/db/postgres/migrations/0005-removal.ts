import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Creates the tables for removals: keyed digests of removed positions and of erased ids.
 * `keyed_digest` is SHA-256 of the text within a random key, hashed twice against extension, and shortened to 16 bytes.
 */
export const removal: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    sql`create table digest_key (id integer primary key check (id = 1), key bytea not null)`,
    sql`insert into digest_key
      select 1, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())`,
    sql`create function keyed_digest(value text) returns bytea language sql stable as $$
      select substr(sha256(key || sha256(key || convert_to(value, 'UTF8'))), 1, 16) from digest_key
    $$`,
    sql`create table removed_messages (
      epoch integer not null, xid bigint not null, batch bigint not null, ordinal integer not null,
      digest bytea not null, primary key (epoch, xid, batch, ordinal)
    )`,
    sql`create table erased_ids (digest bytea primary key)`,
    sql`create index removed_messages_by_batch on removed_messages (batch)`,
    sql`create index feed_batches_by_batch on feed_batches (batch)`,
  ]) {
    await statement.execute(db)
  }
}
