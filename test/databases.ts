import Database from 'better-sqlite3'
import type { Test } from 'tap'
import { createDatabase, execute, SERVER } from './db/postgres/server.ts'
import { folderOf } from './service.ts'

/** The database of a test, for services that run as processes. */
export interface TestDatabase {
  /** Its DATABASE_URL. */
  url: string
  /** Returns the ids of all messages, read directly from the database; no service may have it open. */
  ids(): Promise<unknown[]>
  /** Returns the result of the integrity check of the database; `ok` if there are no errors. */
  integrity(): unknown
}

/** The kinds of databases; the service behaves the same on each. */
export const databases: { name: string; make: (t: Test) => Promise<TestDatabase> }[] = [
  {
    name: 'SQLite',
    async make(t) {
      const withDatabase = <Result>(read: (database: Database.Database) => Result): Result => {
        const database = new Database(`${folderOf(t)}/app.db`, { readonly: true })
        const result = read(database)
        database.close()
        return result
      }
      return {
        url: 'sqlite:///app.db',
        ids: async () =>
          withDatabase((database) =>
            database.prepare('select message_id from messages').pluck().all(),
          ),
        integrity: () =>
          withDatabase((database) => database.pragma('integrity_check', { simple: true })),
      }
    },
  },
]

if (SERVER) {
  databases.push({
    name: 'PostgreSQL',
    async make(t) {
      const url = await createDatabase(t)
      return {
        url,
        ids: async () =>
          (await execute(url, 'select message_id from messages')).map((row) => row.message_id),
        integrity: () => 'ok',
      }
    },
  })
}
