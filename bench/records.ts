import Database from 'better-sqlite3'
import pg from 'pg'
import { messageId } from './message-id.ts'

/** Reads the rows of a candidate from its database, without the service. */
export interface Records {
  /** Returns the number of rows. */
  count(): Promise<number>
  /** Returns how many of the messages of the load with this prefix and these numbers have no row. */
  missing(prefix: string, numbers: readonly number[]): Promise<number>
}

/** Reads the rows of a SQLite file. */
export function sqliteRecords(path: string): Records {
  return {
    async count() {
      const file = new Database(path, { readonly: true })
      const rows = file.prepare<[], number>('select count(*) from messages').pluck().get() ?? 0
      file.close()
      return rows
    },
    async missing(prefix, numbers) {
      const file = new Database(path, { readonly: true })
      const known = file.prepare<[string], number>('select 1 from messages where message_id = ?')
      const missing = numbers.filter((number) => !known.get(messageId(prefix, number))).length
      file.close()
      return missing
    },
  }
}

/** The rows of a PostgreSQL database, and how many of them are not in the counters yet. */
export function postgresRecords(url: string): Records & { countPending: () => Promise<number> } {
  const queryCount = async (text: string, values: unknown[] = []): Promise<number> => {
    const client = new pg.Client(url)
    await client.connect()
    const { rows } = await client.query<{ count: string }>(text, values)
    await client.end()
    return Number(rows[0]?.count)
  }
  return {
    count: () => queryCount('select count(*) from messages'),
    countPending: () =>
      queryCount('select coalesce(sum(messages), 0) as count from pending_batches'),
    missing: (prefix, numbers) =>
      queryCount(
        `select count(*) from unnest($2::int[]) as number
         where not exists (select from messages where message_id = md5($1 || number)::uuid::text)`,
        [prefix, numbers],
      ),
  }
}
