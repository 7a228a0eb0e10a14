import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Creates the mark before the first message of the feed. */
export const feed: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table feed_start (id integer primary key check (id = 1), seq integer not null)`.execute(
    db,
  )
  await sql`
    insert into feed_start (id, seq)
    select 1, coalesce(min(seq), 1) - 1 from messages`.execute(db)
}
