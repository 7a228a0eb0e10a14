import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Adds the details of messages that depend on their source.
 * SQLite adds such columns without writing the existing rows, which have the defaults.
 */
export const sources: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    sql`alter table messages add column source text not null default 'webhook'`,
    sql`alter table messages add column type text not null default 'text'`,
    sql`alter table messages add column payload text`,
  ]) {
    await statement.execute(db)
  }
}
