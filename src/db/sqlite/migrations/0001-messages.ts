import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** The six columns of the service that this one takes over from. */
const REFERENCE_COLUMNS = ['created_at', 'from_msisdn', 'message_id', 'text', 'to_msisdn', 'ts']

/**
 * The table of messages. One that the reference's service wrote is adopted: every row is kept, in its order of
 * arrival, and gets the sort key of its timestamp. A row id of its own makes VACUUM keep what indexes refer to.
 */
export const messages: Migration = { up }

async function up(db: Kysely<unknown>): Promise<void> {
  const found = await sql<{ name: string }>`select name from pragma_table_info('messages')`.execute(
    db,
  )
  const columns = found.rows.map(({ name }) => name).sort()
  const adopt = columns.length > 0
  if (adopt && columns.join() !== REFERENCE_COLUMNS.join()) {
    throw new Error(
      `its table messages has the columns ${columns.join(', ')}; expected are ${REFERENCE_COLUMNS.join(', ')}`,
    )
  }
  if (adopt) await sql`alter table messages rename to reference_messages`.execute(db)

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
    // SQLite lets a text primary key be null, or a blob: such a row gets an id of its own rather than being lost.
    await sql`
      insert into messages (message_id, from_msisdn, to_msisdn, ts, text, created_at, ts_key)
      select case typeof(message_id)
          when 'text' then message_id
          else typeof(message_id) || ':' || hex(message_id) || ':' || rowid || ':' || hex(randomblob(4))
        end, cast(from_msisdn as text),
        cast(to_msisdn as text), cast(ts as text), cast(text as text), cast(created_at as text),
        instant_key(ts)
      from reference_messages order by rowid`.execute(db)
    await sql`drop table reference_messages`.execute(db)
  }
  await sql`create index messages_by_instant on messages (ts_key, message_id)`.execute(db)
}
