import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Adds the details of messages that depend on their source.
 * PostgreSQL adds such columns without writing the existing rows, which have the defaults.
 */
export const sources: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table messages
    add column source text collate "C" not null default 'webhook',
    add column type text collate "C" not null default 'text',
    add column payload text collate "C"`.execute(db)
}
