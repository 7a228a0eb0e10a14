import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Creates the table of rejected bodies. */
export const rejected: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table rejected_bodies (
      id bigint primary key generated always as identity,
      at text collate "C" not null,
      source text collate "C" not null,
      status integer not null,
      problems text collate "C",
      headers text collate "C" not null,
      body bytea not null
    )`.execute(db)
}
