import { workerData } from 'node:worker_threads'
import { instantKey } from '../instant.ts'
import { migrate } from '../migrations/migrate.ts'
import type { AppendOutcome, NewMessage } from '../store.ts'
import { assertInPlace, type FileIdentity, identify, openWriter } from './connection.ts'
import { build, prepare, slot } from './statement.ts'
import { serveCalls } from './thread-main.ts'

/** What the writing thread is given. */
export interface WriterData {
  path: string
  /** The file that a thread before this one wrote to; a new one must not be made in its place. */
  previous: FileIdentity | undefined
}

/** What the writing thread tells when it is ready. */
export interface WriterReady {
  file: FileIdentity
  /** Rows adopted whose `ts` is no instant. */
  withoutInstant: number
}

async function openOperations({ path, previous }: WriterData) {
  if (previous) assertInPlace(path, previous)
  const database = openWriter(path, previous !== undefined)
  await migrate(database)
  const file = identify(path)

  const insert = prepare(
    database,
    build
      .insertInto('messages')
      .values({
        message_id: slot('message_id'),
        from_msisdn: slot('from_msisdn'),
        to_msisdn: slot('to_msisdn'),
        ts: slot('ts'),
        text: slot('text'),
        created_at: slot('created_at'),
        ts_key: slot('ts_key'),
      })
      .onConflict((conflict) => conflict.column('message_id').doNothing()),
  )
  const beat = prepare(
    database,
    build
      .insertInto('heartbeat')
      .values({ id: 1, at: slot('at') })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ at: slot('at') })),
  )
  const readAny = prepare(database, build.selectFrom('messages').select('seq').limit(1))
  const withoutInstant = prepare(
    database,
    build
      .selectFrom('messages')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('ts_key', '=', ''),
  )

  const insertAll = database.transaction((batch: readonly NewMessage[]): AppendOutcome[] =>
    batch.map((message) => {
      const values = insert.bind({ ...message, ts_key: instantKey(message.ts) ?? '' })
      return insert.statement.run(values).changes === 1 ? 'created' : 'duplicate'
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
      readAny.statement.get(readAny.bind({}))
      beat.statement.run(beat.bind({ at: new Date().toISOString() }))
    },

    close(): void {
      database.close()
    },
  }
  const adopted = withoutInstant.statement.get(withoutInstant.bind({}))?.count ?? 0
  return { operations, ready: { file, withoutInstant: adopted } satisfies WriterReady }
}

/** What the writing thread can be asked for. */
export type WriterOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveCalls(() => openOperations(workerData as WriterData))
