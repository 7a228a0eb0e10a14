import { mkdtempSync, rmSync } from 'node:fs'
import { stat, statfs } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type HashedPosition, isRestrictive, isUnindexed } from '../../message/filter.ts'
import type { NewMessage } from '../../message/message.ts'
import {
  type AppendOutcome,
  type FeedQuery,
  type MessageStore,
  type PageQuery,
  type ProgressListener,
  StoreCorruptError,
  type StoreSize,
  type StoreStatus,
  StoreUnavailableError,
  type TimelineQuery,
} from '../message-store.ts'
import { isSlowSenderQuery, type SenderQuery } from '../sender-query.ts'
import { decodeOutcomes, flatten } from './batch.ts'
import { openError } from './errors.ts'
import { makeFolder, resolveLinks } from './files.ts'
import { SqliteMessageRemoval } from './message-removal.ts'
import { SharedProbe } from './probe.ts'
import { readQueries } from './queries/read.ts'
import { writerQueries } from './queries/writer.ts'
import { SqliteRejectedBodies } from './rejected-bodies.ts'
import { StoreGuard } from './store-guard.ts'
import { WorkerClient } from './worker/client.ts'
import { ReaderPool } from './worker/reader-pool.ts'
import type { WriterOperations } from './worker/writer.ts'
import type { WriterData, WriterReady } from './worker/writer-data.ts'

/** Reader threads for reads that may take long, which the other reads never wait for. */
const SEARCH_READERS = 2

/** Reader threads for all other reads. */
const QUICK_READERS = 1

/**
 * Bounds of the number of messages that a bulk store indexes in one transaction, and its duration.
 * The duration is a target in milliseconds: on a slow disk the number is reduced, so that other processes get the lock.
 */
const MAX_BULK_STEP = 15_000
const MIN_BULK_STEP = 1000
const BULK_STEP_MS = 500

/** Options for opening a store. */
export interface SqliteStoreOptions {
  /**
   * Whether to optimize for importing many messages.
   * The store then uses more memory, holds the lock for longer, and indexes messages only in `catchUp` or when idle.
   */
  bulk?: boolean
  /** Whether to back up the file before a migration of its schema. */
  backupBeforeMigration?: boolean
  /** Called once when the store has become unusable: corrupt, or detached from its files. */
  onFailure?: (failure: StoreUnavailableError) => void
}

/** A store in one SQLite file. Only worker threads access the file: one writes, the others read. */
export class SqliteStore implements MessageStore {
  readonly #writer: WorkerClient<WriterOperations, WriterData, WriterReady>
  readonly #searchReaders: ReaderPool
  readonly #quickReaders: ReaderPool
  readonly #guard: StoreGuard
  readonly rejected: SqliteRejectedBodies
  readonly removal: SqliteMessageRemoval
  readonly #path: string
  readonly #temporaryFolder: string | undefined
  readonly #probe = new SharedProbe(() =>
    this.#guard.run(() => this.#writer.call('probe', undefined)),
  )
  #bulkStep: number | undefined
  /** Values that the writer thread posted when it was ready. */
  opened: Pick<WriterReady, 'withoutInstant' | 'backup'> = { withoutInstant: 0, backup: undefined }
  /** Two concurrent batches: the second one is queued, so that the writer does not wait for this thread. */
  readonly batching: MessageStore['batching'] = { concurrency: 2, minConcurrentBatch: 16 }
  readonly pools = {}
  status: StoreStatus = { backlog: 0, walBytes: 0 }

  private constructor(
    configuredPath: string,
    temporaryFolder: string | undefined,
    { bulk = false, backupBeforeMigration = false, onFailure }: SqliteStoreOptions,
  ) {
    const path = resolveLinks(configuredPath)
    this.#guard = new StoreGuard(onFailure)
    this.#path = path
    this.#temporaryFolder = temporaryFolder
    this.#bulkStep = bulk ? MAX_BULK_STEP : undefined
    this.#writer = new WorkerClient({
      entry: new URL('./worker/writer.ts', import.meta.url),
      data: (previous): WriterData => ({
        configuredPath,
        path,
        previous: previous?.files,
        queries: writerQueries,
        backupBeforeMigration,
        bulk,
      }),
      onEvent: (value) => {
        this.status = value as StoreStatus
      },
    })
    const data = { path, queries: readQueries }
    const { PRIORITY_LOW, PRIORITY_NORMAL } = constants.priority
    this.#searchReaders = new ReaderPool({ ...data, priority: PRIORITY_LOW }, SEARCH_READERS)
    this.#quickReaders = new ReaderPool({ ...data, priority: PRIORITY_NORMAL }, QUICK_READERS)
    this.removal = new SqliteMessageRemoval(this.#guard, this.#writer)
    this.rejected = new SqliteRejectedBodies(this.#guard, this.#writer, this.#quickReaders)
  }

  /**
   * Opens the file at the path, or a private temporary file without one.
   * Creates missing folders, migrates the schema and indexes the backlog. On a full disk the store opens and serves
   * reads.
   * @param onProgress called with the number of messages that remain to be upgraded or indexed.
   * @throws StoreOpenError if the file cannot be opened or is not a database of this service.
   */
  static async open(
    path: string | undefined,
    onProgress?: ProgressListener,
    options: SqliteStoreOptions = {},
  ): Promise<SqliteStore> {
    let store: SqliteStore | undefined
    try {
      const temporaryFolder =
        path === undefined ? mkdtempSync(join(tmpdir(), 'lyftr-webhook-')) : undefined
      const file = path ?? join(temporaryFolder ?? '', 'private.db')
      makeFolder(dirname(file))
      store = new SqliteStore(file, temporaryFolder, options)
      const opened = await store.#writer.start()
      store.#guard.watch(opened.files)
      store.opened = opened
      await store.#upgrade(onProgress)
      await store.#tryCatchUp(onProgress)
      await Promise.all([store.#searchReaders.start(), store.#quickReaders.start()])
      return store
    } catch (error) {
      await store?.close()
      const name = path === undefined ? 'a temporary SQLite file' : JSON.stringify(path)
      throw openError(`open ${name}`, error)
    }
  }

  async append(batch: readonly NewMessage[]): Promise<AppendOutcome[]> {
    try {
      const { outcomes, status } = await this.#guard.run(() =>
        this.#writer.call('append', flatten(batch)),
      )
      this.status = status
      return decodeOutcomes(outcomes)
    } catch (error) {
      this.#probe.noteFailure(error)
      throw error
    }
  }

  page(query: PageQuery, signal?: AbortSignal) {
    // These filters may read every message.
    const slow = query.q || isUnindexed(query)
    const readers = slow ? this.#searchReaders : this.#quickReaders
    return this.#guard.run(() => readers.call('page', query, signal))
  }

  findPosition(position: HashedPosition, signal?: AbortSignal) {
    return this.#guard.run(() => this.#searchReaders.call('findPosition', position, signal))
  }

  stats(signal?: AbortSignal) {
    return this.#guard.run(() => this.#quickReaders.call('stats', undefined, signal))
  }

  timeline(query: TimelineQuery, signal?: AbortSignal) {
    // Counters cover all messages; those of one sender are counted entry by entry.
    const readers = query.from === undefined ? this.#quickReaders : this.#searchReaders
    return this.#guard.run(() => readers.call('timeline', query, signal))
  }

  senders(query: SenderQuery, signal?: AbortSignal) {
    const readers = isSlowSenderQuery(query) ? this.#searchReaders : this.#quickReaders
    return this.#guard.run(() => readers.call('senders', query, signal))
  }

  message(id: string, signal?: AbortSignal) {
    return this.#guard.run(() => this.#quickReaders.call('message', id, signal))
  }

  feed(query: FeedQuery, signal?: AbortSignal) {
    const readers = isRestrictive(query.filter) ? this.#searchReaders : this.#quickReaders
    return this.#guard.run(() => readers.call('feed', query, signal))
  }

  feedEnd(signal?: AbortSignal) {
    return this.#guard.run(() => this.#quickReaders.call('feedEnd', undefined, signal))
  }

  async catchUp(onProgress?: ProgressListener): Promise<void> {
    for (;;) {
      const started = performance.now()
      const left = await this.#writer.call('catchUp', this.#bulkStep)
      this.#adaptBulkStep(performance.now() - started)
      if (left === 0) return
      await onProgress?.(left)
    }
  }

  #adaptBulkStep(ms: number): void {
    if (this.#bulkStep === undefined) return
    const step = Math.round(this.#bulkStep * (ms > BULK_STEP_MS ? 0.5 : 2))
    this.#bulkStep = Math.min(MAX_BULK_STEP, Math.max(MIN_BULK_STEP, step))
  }

  /** Moves the entries of an older sender index into the current one; reads are incomplete until then. */
  async #upgrade(onProgress?: ProgressListener): Promise<void> {
    for (;;) {
      const left = await this.#writer.call('upgrade', undefined)
      if (left === 0) return
      await onProgress?.(left)
    }
  }

  /** Indexes the backlog; ignores that the store cannot be written, as the writer retries later. */
  async #tryCatchUp(onProgress?: ProgressListener): Promise<void> {
    try {
      await this.catchUp(onProgress)
    } catch (error) {
      const canWait =
        error instanceof StoreUnavailableError && !(error instanceof StoreCorruptError)
      if (!canWait) throw error
    }
  }

  async size(): Promise<StoreSize> {
    const bytesOf = async (path: string) => (await stat(path).catch(() => undefined))?.size ?? 0
    const [{ total_messages: messages }, lastBackup, file, log, disk] = await Promise.all([
      this.stats(),
      this.#guard.run(() => this.#quickReaders.call('lastBackup', undefined)),
      bytesOf(this.#path),
      bytesOf(`${this.#path}-wal`),
      statfs(dirname(this.#path)),
    ])
    const freeBytes = disk.bavail * disk.bsize
    return { messages, databaseBytes: file + log, freeBytes, lastBackup }
  }

  ready(): Promise<void> {
    return this.#probe.run()
  }

  async close(): Promise<void> {
    // The last connection to close checkpoints the log, unless it is read-only. If another process may have written to
    // a log that this one does not see, the checkpoint would lose those writes, so here the readers close last.
    if (this.#guard.detached) await this.#writer.close()
    await Promise.all([this.#searchReaders.close(), this.#quickReaders.close()])
    await this.#writer.close()
    if (this.#temporaryFolder) rmSync(this.#temporaryFolder, { recursive: true, force: true })
  }
}
