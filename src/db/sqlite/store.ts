import { mkdtempSync, rmSync } from 'node:fs'
import { stat, statfs } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { HashedPosition, MessageFilter } from '../../message/filter.ts'
import type { StoredMessage } from '../../message/message.ts'
import {
  type AppendOutcome,
  type MessageStore,
  type PageQuery,
  type ProgressListener,
  StoreCorruptError,
  StoreDetachedError,
  StoreOpenError,
  type StoreSize,
  type StoreStatus,
  StoreUnavailableError,
} from '../message-store.ts'
import { flatten, readOutcomes } from './batch.ts'
import { FileGuard, makeFolder, resolveLinks } from './files.ts'
import { SqliteScan } from './offline/scan.ts'
import { SharedProbe } from './probe.ts'
import { countQueries } from './queries/count.ts'
import { indexingQueries } from './queries/indexing.ts'
import { drivenCounts, matchCounts, pageQueries } from './queries/page.ts'
import { rangeQueries } from './queries/ranges.ts'
import { writeQueries } from './queries/write.ts'
import { WorkerClient } from './worker/client.ts'
import { ReaderPool } from './worker/reader-pool.ts'
import type { WriterData, WriterOperations, WriterReady } from './worker/writer.ts'

/** Threads for searches, which may take long, and for everything else, which does not and need not wait for them. */
const SEARCHERS = 2
const ANSWERERS = 1

/**
 * Messages derived in one transaction in bulk, at most and at least; and the milliseconds that one may take, so that
 * other processes get the lock: on a slow disk a step is made smaller.
 */
const BULK_STEP = 15_000
const SMALLEST_BULK_STEP = 1000
const BULK_STEP_MS = 500

/** How a store is opened. */
export interface SqliteStoreOptions {
  /** For very many messages at once: memory is spent on writing less often, and others wait longer for the lock. */
  bulk?: boolean
  /** Called once when the store has become unusable: damaged, or detached from its files. */
  onFailure?: (failure: StoreUnavailableError) => void
}

/** Messages in one SQLite file, which only worker threads touch: one writes, a few read. */
export class SqliteStore implements MessageStore {
  readonly #writer: WorkerClient<WriterOperations, WriterData, WriterReady>
  readonly #searchers: ReaderPool
  readonly #answerers: ReaderPool
  readonly #scans = new Set<SqliteScan>()
  readonly #path: string
  readonly #temporary: string | undefined
  #step: number | undefined
  readonly #onFailure: SqliteStoreOptions['onFailure']
  #guard: FileGuard | undefined
  readonly #probe = new SharedProbe(() => this.#watch(() => this.#writer.call('probe', undefined)))
  /** Damaged, or detached from its files: until it is opened anew. */
  #failure: StoreUnavailableError | undefined
  /** Rows adopted from an older service whose `ts` is no instant, as counted at the start. */
  withoutInstant = 0
  /** There is one writer; a second batch at its door keeps it from waiting until this thread hears of the first. */
  readonly batching = { concurrency: 2, beside: 16 }
  readonly pools = {}
  status: StoreStatus = { backlog: 0, walBytes: 0 }

  private constructor(
    configuredPath: string,
    temporary: string | undefined,
    { bulk = false, onFailure }: SqliteStoreOptions,
  ) {
    const path = resolveLinks(configuredPath)
    this.#onFailure = onFailure
    this.#path = path
    this.#temporary = temporary
    this.#step = bulk ? BULK_STEP : undefined
    this.#writer = new WorkerClient({
      entry: new URL('./worker/writer.ts', import.meta.url),
      data: (previous): WriterData => ({
        configuredPath,
        path,
        previous: previous?.files,
        write: writeQueries,
        derive: indexingQueries,
        bulk,
      }),
      onEvent: (value) => {
        this.status = value as StoreStatus
      },
    })
    const data = {
      path,
      queries: {
        pages: pageQueries,
        drivenCounts,
        matches: matchCounts,
        ranges: rangeQueries,
        counts: countQueries,
      },
    }
    const { PRIORITY_LOW, PRIORITY_NORMAL } = constants.priority
    this.#searchers = new ReaderPool({ ...data, priority: PRIORITY_LOW }, SEARCHERS)
    this.#answerers = new ReaderPool({ ...data, priority: PRIORITY_NORMAL }, ANSWERERS)
  }

  /**
   * Opens the file at the path, or a private temporary one where there is none, makes missing folders, brings the
   * schema up to date and derives whatever is behind. On a full disk it opens and serves reads.
   * @param onProgress hears how many messages are left to be derived, where it takes long.
   * @throws StoreOpenError when the file cannot be opened or is no database of ours.
   */
  static async open(
    path: string | undefined,
    onProgress?: ProgressListener,
    options: SqliteStoreOptions = {},
  ): Promise<SqliteStore> {
    let store: SqliteStore | undefined
    try {
      const temporary =
        path === undefined ? mkdtempSync(join(tmpdir(), 'lyftr-webhook-')) : undefined
      const file = path ?? join(temporary ?? '', 'private.db')
      makeFolder(dirname(file))
      store = new SqliteStore(file, temporary, options)
      const { files, withoutInstant } = await store.#writer.start()
      store.#guard = new FileGuard(files)
      store.withoutInstant = withoutInstant
      await store.#catchUpIfPossible(onProgress)
      await Promise.all([store.#searchers.start(), store.#answerers.start()])
      return store
    } catch (error) {
      await store?.close()
      const named = path === undefined ? 'a temporary SQLite file' : JSON.stringify(path)
      const reason = error instanceof Error ? error.message : String(error)
      throw new StoreOpenError(`cannot open ${named}: ${reason}`, { cause: error })
    }
  }

  async append(batch: readonly StoredMessage[]): Promise<AppendOutcome[]> {
    try {
      const { outcomes, condition } = await this.#watch(() =>
        this.#writer.call('append', flatten(batch)),
      )
      this.status = condition
      return readOutcomes(outcomes)
    } catch (error) {
      this.#probe.noteFailure(error)
      throw error
    }
  }

  page(query: PageQuery, signal?: AbortSignal) {
    // What may have to read every message must not hold up the rest.
    const readers = query.q || query.to !== undefined ? this.#searchers : this.#answerers
    return this.#watch(() => readers.call('page', query, signal))
  }

  findPosition(position: HashedPosition, signal?: AbortSignal) {
    return this.#watch(() => this.#searchers.call('findPosition', position, signal))
  }

  stats(signal?: AbortSignal) {
    return this.#watch(() => this.#answerers.call('stats', undefined, signal))
  }

  message(id: string, signal?: AbortSignal) {
    return this.#watch(() => this.#answerers.call('message', id, signal))
  }

  async catchUp(onProgress?: ProgressListener): Promise<void> {
    for (;;) {
      const started = performance.now()
      const left = await this.#writer.call('catchUp', this.#step)
      this.#adaptStep(performance.now() - started)
      if (left === 0) return
      await onProgress?.(left)
    }
  }

  #adaptStep(ms: number): void {
    if (this.#step === undefined) return
    const factor = ms > BULK_STEP_MS ? 0.5 : 2
    this.#step = Math.min(BULK_STEP, Math.max(SMALLEST_BULK_STEP, Math.round(this.#step * factor)))
  }

  async *scan(filter: MessageFilter) {
    const scan = new SqliteScan(this.#path, filter)
    this.#scans.add(scan)
    try {
      yield* scan
    } finally {
      this.#scans.delete(scan)
    }
  }

  /** At the start: answers are exact without it, and the writer goes on with it once it can write. */
  async #catchUpIfPossible(onProgress?: ProgressListener): Promise<void> {
    try {
      await this.catchUp(onProgress)
    } catch (error) {
      if (!(error instanceof StoreUnavailableError) || error instanceof StoreCorruptError)
        throw error
    }
  }

  /**
   * Runs work on a store that is usable before it and after it, and remembers when it is not. What was read while the
   * files were replaced may be wrong.
   */
  async #watch<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#failure) throw this.#failure
    try {
      this.#guard?.assertShared()
      const result = await work()
      this.#guard?.assertShared()
      return result
    } catch (error) {
      const failure = this.#detached() ?? error
      const isLasting =
        failure instanceof StoreCorruptError || failure instanceof StoreDetachedError
      if (isLasting && !this.#failure) {
        this.#failure = failure
        this.#onFailure?.(failure)
      }
      throw failure
    }
  }

  /** The error of a store whose log or shared memory was removed or replaced. */
  #detached(): StoreDetachedError | undefined {
    try {
      this.#guard?.assertShared()
    } catch (error) {
      if (error instanceof StoreDetachedError) return error
    }
    return undefined
  }

  async size(): Promise<StoreSize> {
    const bytesOf = async (path: string) => (await stat(path).catch(() => undefined))?.size ?? 0
    const [{ total }, file, log, disk] = await Promise.all([
      this.page({ order: 'asc', limit: 1, offset: 0 }),
      bytesOf(this.#path),
      bytesOf(`${this.#path}-wal`),
      statfs(dirname(this.#path)),
    ])
    return { messages: total, databaseBytes: file + log, freeBytes: disk.bavail * disk.bsize }
  }

  ready(): Promise<void> {
    return this.#probe.run()
  }

  async close(): Promise<void> {
    const closeReaders = async (): Promise<void> => {
      const scans = [...this.#scans].map((scan) => scan.close())
      await Promise.all([this.#searchers.close(), this.#answerers.close(), ...scans])
    }
    // The last connection to close folds the write-ahead log into the file, unless it only reads. Where another process
    // may have written to the log unseen, that would lose what it wrote.
    if (this.#detached()) await this.#writer.close()
    await closeReaders()
    await this.#writer.close()
    if (this.#temporary) rmSync(this.#temporary, { recursive: true, force: true })
  }
}
