import { workerData } from 'node:worker_threads'
import { instantKey } from '../instant.ts'
import { migrate } from '../migrations/migrate.ts'
import type { AppendOutcome, NewMessage } from '../store.ts'
import { assertInPlace, type FileIdentity, identify, openWriter } from './connection.ts'
import type { writerQueries } from './queries.ts'
import { prepare } from './statement.ts'
import { serveCalls } from './thread-main.ts'

/** What the writing thread is given. */
export interface WriterData {
  path: string
  /** The file that a thread before this one wrote to; a new one must not be made in its place. */
  previous: FileIdentity | undefined
  queries: typeof writerQueries
}

/** What the writing thread tells when it is ready. */
export interface WriterReady {
  file: FileIdentity
  /** Rows adopted whose `ts` is no instant. */
  withoutInstant: number
}

async function openOperations({ path, previous, queries }: WriterData) {
  if (previous) assertInPlace(path, previous)
  const database = openWriter(path, previous !== undefined)
  await migrate(database)
  const file = identify(path)

  const insert = prepare(database, queries.insert)
  const beat = prepare(database, queries.beat)
  const readAny = prepare(database, queries.readAny)
  const withoutInstant = prepare(database, queries.withoutInstant).get()?.count ?? 0

  const insertAll = database.transaction((batch: readonly NewMessage[]): AppendOutcome[] =>
    batch.map((message) => {
      const inserted = insert.run({ ...message, ts_key: instantKey(message.ts) ?? '' })
      return inserted === 1 ? 'created' : 'duplicate'
    }),
  )

  const operations = {
    /** Commits the batch, synced to disk, to the file that is still the one at the path. */
    append(batch: readonly NewMessage[]): AppendOutcome[] {
      const outcomes = insertAll.immediate(batch)
      assertInPlace(path, file)
      return outcomes
    },

    /** Throws unless the file is in place and can be read and written, shown by doing it. */
    probe(): void {
      assertInPlace(path, file)
      readAny.get()
      beat.run({ at: new Date().toISOString() })
    },

    close(): void {
      database.close()
    },
  }
  return { operations, ready: { file, withoutInstant } satisfies WriterReady }
}

/** What the writing thread can be asked for. */
export type WriterOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveCalls(() => openOperations(workerData as WriterData))
