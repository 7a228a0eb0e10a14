import Database from 'better-sqlite3'
import type { Test } from 'tap'
import { createDatabase, execute, SERVER } from './db/postgres/server.ts'
import { folderOf } from './service.ts'

/** A database of a test's own, for services that are processes. */
export interface OwnDatabase {
  /** The DATABASE_URL that names it. */
  url: string
  /** The ids of every message, as the database itself lists them, once no service has it open. */
  ids(): Promise<unknown[]>
  /** What the database says of its own soundness, `ok` where it has nothing to say. */
  integrity(): unknown
}

/** The kinds of databases that the service promises the same on. */
export const databases: { name: string; make: (t: Test) => Promise<OwnDatabase> }[] = [
  {
    name: 'SQLite',
    async make(t) {
      const ask = <Answer>(question: (database: Database.Database) => Answer): Answer => {
        const database = new Database(`${folderOf(t)}/app.db`, { readonly: true })
        const answer = question(database)
        database.close()
        return answer
      }
      return {
        url: 'sqlite:///app.db',
        ids: async () =>
          ask((database) => database.prepare('select message_id from messages').pluck().all()),
        integrity: () => ask((database) => database.pragma('integrity_check', { simple: true })),
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
