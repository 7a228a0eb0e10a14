import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  type AppendOutcome,
  type HashedPosition,
  type MessageFilter,
  type MessageStore,
  type NewMessage,
  type PageQuery,
  type ProgressListener,
  type StoreCondition,
  StoreDamagedError,
  StoreOpenError,
} from '../store.ts'
import { flatten, readOutcomes } from './batch.ts'
import { countQueries } from './queries/count.ts'
import { deriveQueries } from './queries/derive.ts'
import { drivenCounts, matchCounts, pageQueries } from './queries/page.ts'
import { rangeQueries } from './queries/ranges.ts'
import { writeQueries } from './queries/write.ts'
import { SqliteReaders } from './readers.ts'
import { SqliteScan } from './scan.ts'
import { SqliteThread } from './thread.ts'
import type { WriterData, WriterOperations, WriterReady } from './writer.ts'

/** Threads for searches, which may take long, and for everything else, which does not and need not wait for them. */
const SEARCHERS = 2
const ANSWERERS = 1

/** Makes a folder and those above it, one by one: Node's own way never ends where one cannot be made, as in /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return
  makeFolder(dirname(folder))
  try {
    mkdirSync(folder)
  } catch (error) {
    // Another process made it meanwhile.
    if (!existsSync(folder)) throw error
  }
}

/** Messages derived in one transaction in bulk: some 0.5 s, which a readiness check of another process outwaits. */
const BULK_STEP = 15_000

/** How a store is opened. */
export interface SqliteStoreOptions {
  /** For very many messages at once: memory is spent on writing less often, and others wait longer for the lock. */
  bulk?: boolean
  /** Hears once when the file is found damaged while it is open. */
  onDamage?: (damage: StoreDamagedError) => void
}

/** Messages in one SQLite file, which only worker threads touch: one writes, a few read. */
export class SqliteStore implements MessageStore {
  readonly #writer: SqliteThread<WriterOperations, WriterData, WriterReady>
  readonly #searchers: SqliteReaders
  readonly #answerers: SqliteReaders
  readonly #scans = new Set<SqliteScan>()
  readonly #path: string
  readonly #temporary: string | undefined
  readonly #step: number | undefined
  readonly #onDamage: SqliteStoreOptions['onDamage']
  #probe: Promise<void> | undefined
  #damage: StoreDamagedError | undefined
  /** Rows adopted from an older service whose `ts` is no instant, as counted at the start. */
  withoutInstant = 0
  /** There is one writer; a second batch at its door keeps it from waiting until this thread hears of the first. */
  readonly batching = { concurrency: 2, beside: 16 }
  condition: StoreCondition = { backlog: 0, logBytes: 0 }

  private constructor(
    path: string,
    temporary: string | undefined,
    { bulk = false, onDamage }: SqliteStoreOptions,
  ) {
    this.#onDamage = onDamage
    this.#path = path
    this.#temporary = temporary
    this.#step = bulk ? BULK_STEP : undefined
    this.#writer = new SqliteThread({
      entry: new URL('./writer.ts', import.meta.url),
      data: (previous): WriterData => ({
        path,
        previous: previous?.file,
        write: writeQueries,
        derive: deriveQueries,
        bulk,
      }),
      onEvent: (value) => {
        this.condition = value as StoreCondition
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
    this.#searchers = new SqliteReaders({ ...data, priority: PRIORITY_LOW }, SEARCHERS)
    this.#answerers = new SqliteReaders({ ...data, priority: PRIORITY_NORMAL }, ANSWERERS)
  }

  /**
   * Opens the file at the path, or a private temporary one where there is none, makes missing folders, brings the
   * schema up to date and derives whatever is behind.
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
      store.withoutInstant = (await store.#writer.start()).withoutInstant
      await store.catchUp(onProgress)
      await Promise.all([store.#searchers.start(), store.#answerers.start()])
      return store
    } catch (error) {
      await store?.close()
      const named = path === undefined ? 'a temporary SQLite file' : JSON.stringify(path)
      const reason = error instanceof Error ? error.message : String(error)
      throw new StoreOpenError(`cannot open ${named}: ${reason}`, { cause: error })
    }
  }

  async append(batch: readonly NewMessage[]): Promise<AppendOutcome[]> {
    if (this.#damage) throw this.#damage
    const { outcomes, condition } = await this.#watch(this.#writer.call('append', flatten(batch)))
    this.condition = condition
    return readOutcomes(outcomes)
  }

  page(query: PageQuery, signal?: AbortSignal) {
    // What may have to read every message must not hold up the rest.
    const readers = query.q || query.to !== undefined ? this.#searchers : this.#answerers
    return this.#watch(readers.call('page', query, signal))
  }

  findPosition(position: HashedPosition, signal?: AbortSignal) {
    return this.#watch(this.#searchers.call('findPosition', position, signal))
  }

  stats(signal?: AbortSignal) {
    return this.#watch(this.#answerers.call('stats', undefined, signal))
  }

  message(id: string, signal?: AbortSignal) {
    return this.#watch(this.#answerers.call('message', id, signal))
  }

  async catchUp(onProgress?: ProgressListener): Promise<void> {
    for (;;) {
      const left = await this.#writer.call('catchUp', this.#step)
      if (left === 0) return
      await onProgress?.(left)
    }
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

  /** Notices damage, which nobody is to overlook because somebody else asked. */
  #watch<Result>(work: Promise<Result>): Promise<Result> {
    return work.catch((error: unknown) => {
      if (error instanceof StoreDamagedError && !this.#damage) {
        this.#damage = error
        this.#onDamage?.(error)
      }
      throw error
    })
  }

  /** Callers share the check under way: many probes cost one write. */
  async ready(): Promise<void> {
    if (this.#damage) throw this.#damage
    this.#probe ??= this.#watch(this.#writer.call('probe', undefined)).finally(() => {
      this.#probe = undefined
    })
    return this.#probe
  }

  async close(): Promise<void> {
    const scans = [...this.#scans].map((scan) => scan.close())
    await Promise.all([this.#searchers.close(), this.#answerers.close(), ...scans])
    // Last, since the last connection to close folds the write-ahead log into the file.
    await this.#writer.close()
    if (this.#temporary) rmSync(this.#temporary, { recursive: true, force: true })
  }
}
