import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** The columns of the legacy Python service's table. */
const LEGACY_COLUMNS = ['created_at', 'from_msisdn', 'message_id', 'text', 'to_msisdn', 'ts']

/**
 * Creates the table of messages.
 * A table of the legacy Python service is adopted: all rows are kept in their order of arrival and get the sort keys of
 * their timestamps. `seq` is explicit so that VACUUM does not renumber rows.
 */
export const messages: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  const found = await sql<{ name: string }>`select name from pragma_table_info('messages')`.execute(
    db,
  )
  const columns = found.rows.map(({ name }) => name).sort()
  const adopt = columns.length > 0
  if (adopt && columns.join() !== LEGACY_COLUMNS.join()) {
    throw new Error(
      `its table messages has the columns ${columns.join(', ')}; expected are ${LEGACY_COLUMNS.join(', ')}`,
    )
  }
  if (adopt) await sql`alter table messages rename to legacy_messages`.execute(db)

  await sql`
    create table messages (
      seq integer primary key,
      message_id text not null unique,
      from_msisdn text not null,
      to_msisdn text not null,
      ts text not null,
      text text,
      created_at text not null,
      ts_key text not null
    )`.execute(db)
  await sql`create table heartbeat (id integer primary key check (id = 1), at text not null)`.execute(
    db,
  )
  if (adopt) {
    // In SQLite a text primary key can be null or a blob. Such a row gets a new id, so that it is not lost.
    await sql`
      insert into messages (message_id, from_msisdn, to_msisdn, ts, text, created_at, ts_key)
      select case typeof(message_id)
          when 'text' then message_id
          else typeof(message_id) || ':' || hex(message_id) || ':' || rowid || ':' || hex(randomblob(4))
        end, cast(from_msisdn as text),
        cast(to_msisdn as text), cast(ts as text), cast(text as text), cast(created_at as text),
        instant_key(ts)
      from legacy_messages order by rowid`.execute(db)
    await sql`drop table legacy_messages`.execute(db)
  }
  await sql`create index messages_by_instant on messages (ts_key, message_id)`.execute(db)
}
