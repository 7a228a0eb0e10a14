import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Creates the table of rejected bodies. `autoincrement` never reuses the id of a deleted row. */
export const rejected: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table rejected_bodies (
      id integer primary key autoincrement,
      at text not null,
      source text not null,
      status integer not null,
      problems text,
      headers text not null,
      body blob not null
    )`.execute(db)
}
