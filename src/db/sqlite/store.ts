import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  type AppendOutcome,
  type MessageStore,
  type NewMessage,
  type PageQuery,
  StoreOpenError,
} from '../store.ts'
import { readerQueries, writerQueries } from './queries.ts'
import type { ReaderData, ReaderOperations } from './reader.ts'
import { SqliteThread } from './thread.ts'
import type { WriterData, WriterOperations, WriterReady } from './writer.ts'

/** Two, so that a long search does not hold up a short question. */
const READERS = 2

type Reader = SqliteThread<ReaderOperations, undefined>

/** Messages in one SQLite file, which only worker threads touch: one writes, a few read. */
export class SqliteStore implements MessageStore {
  readonly #writer: SqliteThread<WriterOperations, WriterReady>
  readonly #readers: Reader[]
  readonly #stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  readonly #temporary: string | undefined
  #probe: Promise<void> | undefined
  /** Rows adopted from an older service whose `ts` is no instant, as counted at the start. */
  withoutInstant = 0

  private constructor(path: string, temporary: string | undefined) {
    this.#temporary = temporary
    this.#writer = new SqliteThread(
      new URL('./writer.ts', import.meta.url),
      (previous): WriterData => ({ path, previous: previous?.file, queries: writerQueries }),
    )
    this.#readers = Array.from(
      { length: READERS },
      (): Reader =>
        new SqliteThread(
          new URL('./reader.ts', import.meta.url),
          (): ReaderData => ({ path, stop: this.#stop, queries: readerQueries }),
        ),
    )
  }

  /**
   * Opens the file at the path, or a private temporary one where there is none, makes missing folders and brings
   * the schema up to date. @throws StoreOpenError when the file cannot be opened or is no database of ours.
   */
  static async open(path: string | undefined): Promise<SqliteStore> {
    const temporary = path === undefined ? mkdtempSync(join(tmpdir(), 'lyftr-webhook-')) : undefined
    const file = path ?? join(temporary ?? '', 'private.db')
    const store = new SqliteStore(file, temporary)
    try {
      mkdirSync(dirname(file), { recursive: true })
      store.withoutInstant = (await store.#writer.start()).withoutInstant
      await Promise.all(store.#readers.map((reader) => reader.start()))
    } catch (error) {
      await store.close()
      throw new StoreOpenError(
        `cannot open the SQLite file ${file}: ${error instanceof Error ? error.message : error}`,
        { cause: error },
      )
    }
    return store
  }

  append(batch: readonly NewMessage[]): Promise<AppendOutcome[]> {
    return this.#writer.call('append', batch)
  }

  page(query: PageQuery) {
    return this.#reader().call('page', query)
  }

  stats() {
    return this.#reader().call('stats')
  }

  /** Callers share the check under way: many probes cost one write. */
  ready(): Promise<void> {
    this.#probe ??= this.#writer.call('probe').finally(() => {
      this.#probe = undefined
    })
    return this.#probe
  }

  async close(): Promise<void> {
    Atomics.store(this.#stop, 0, 1)
    await Promise.all(this.#readers.map((reader) => reader.close()))
    // Last, since the last connection to close folds the write-ahead log into the file.
    await this.#writer.close()
    if (this.#temporary) rmSync(this.#temporary, { recursive: true, force: true })
  }

  #reader(): Reader {
    return this.#readers.reduce((least, reader) =>
      reader.waiting < least.waiting ? reader : least,
    )
  }
}
