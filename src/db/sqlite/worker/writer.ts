import type { Database } from 'better-sqlite3'
import type { StoreStatus } from '../../message-store.ts'
import type { RejectedBatch } from '../../rejected-bodies.ts'
import type { Erasure, RemovalStep } from '../../removal.ts'
import type { FlatBatch } from '../batch.ts'
import { BusyRetry } from '../busy-retry.ts'
import { LOG_LIMIT, withoutSync } from '../connection.ts'
import { isCorruption, isLocked } from '../errors.ts'
import { FileGuard, identifyFiles } from '../files.ts'
import { FullDisk } from '../full-disk.ts'
import { Indexer } from '../indexer.ts'
import { prepareInsertion } from '../insertion.ts'
import { type MigratedDatabase, openMigrated } from '../open-migrated.ts'
import { Purge } from '../purge.ts'
import { Removal } from '../removal.ts'
import { prepareSenderUpgrade } from '../sender-runs-upgrade.ts'
import { type Prepared, prepareAll } from '../statement.ts'
import { serveRpc, type WorkerContext } from './runtime.ts'
import type { WriterData, WriterReady } from './writer-data.ts'

/** Milliseconds that an append waits for a lock of another program. Senders time out after 15 to 30 s. */
const APPEND_LOCK_TIMEOUT_MS = 4000

/** Milliseconds that a readiness check waits for a lock; short, because appends wait for the check. */
const PROBE_LOCK_TIMEOUT_MS = 500

/** Milliseconds to wait after an append before a step that is not due, and after a step that failed. */
const IDLE_MS = 100

/** Milliseconds between two attempts to truncate the log, which fail while a reader needs it. */
const TRUNCATE_INTERVAL_MS = 1000

/** The connection that writes. */
class Writer {
  readonly ready: WriterReady
  readonly #database: Database
  readonly #query: Prepared<WriterData['queries']['write']>
  readonly #indexer: Indexer
  readonly #insert: ReturnType<typeof prepareInsertion>
  readonly #removal: Removal
  readonly #purge: Purge
  readonly #bulk: boolean
  readonly #transaction: <Result>(work: () => Result) => Result
  readonly #emit: (status: StoreStatus) => void
  readonly #upgrade: () => number
  readonly #lock: BusyRetry
  readonly #disk = new FullDisk((text) => this.#query.heartbeat.run({ at: text }))
  readonly #guard: FileGuard
  #walBytes: number
  #lastAppend = 0
  /** Time of the next attempt after a failed step, by `performance.now()`. */
  #retryAt = 0
  #corruption: unknown

  /** Opens the database and migrates it. */
  static async open({ data, emit }: WorkerContext<WriterData>): Promise<Writer> {
    return new Writer(await openMigrated(data, APPEND_LOCK_TIMEOUT_MS), data, emit)
  }

  private constructor(
    { database, backup }: MigratedDatabase,
    data: WriterData,
    emit: (status: StoreStatus) => void,
  ) {
    this.#database = database
    this.#emit = emit
    const query = prepareAll(database, data.queries)
    this.#query = query.write
    this.#bulk = data.bulk
    this.#indexer = new Indexer(database, query.index, query.runs)
    this.#insert = prepareInsertion(this.#query)
    this.#removal = new Removal(database, query.removal, () => this.#indexer.watermarks())
    this.#purge = new Purge(database, query.purge, query.index)
    this.#transaction = database.transaction((work: () => unknown) => work()).immediate as <Result>(
      work: () => Result,
    ) => Result
    this.#upgrade = prepareSenderUpgrade(database)
    this.#lock = new BusyRetry(() => database.pragma('data_version', { simple: true }))
    // On a full disk the store serves reads.
    this.#disk.tolerate(() => this.#lock.run(APPEND_LOCK_TIMEOUT_MS, () => this.#heartbeat()))
    this.#indexer.recount()
    // SQLite has created the log and the shared memory by now, as the database was read.
    const files = identifyFiles(data.configuredPath, data.path)
    this.#guard = new FileGuard(files)
    this.#walBytes = this.#guard.assertInPlace()
    this.ready = {
      files,
      withoutInstant: this.#query.countWithoutInstant.get()?.count ?? 0,
      backup,
    }
  }

  /** Commits a batch, synced to disk. Returns the encoded outcome of each message. */
  append(batch: FlatBatch): { outcomes: Uint8Array; status: StoreStatus } {
    const outcomes = this.#commit(() => {
      if (!this.#bulk) this.#indexer.keepUp()
      return this.#insert(batch)
    })
    this.#indexer.add(outcomes.length)
    this.#lastAppend = performance.now()
    return { outcomes, status: this.#status }
  }

  /** Moves some entries of an older sender index. @returns the number of entries that are left. */
  upgrade(): number {
    return this.#write(() => this.#lock.run(APPEND_LOCK_TIMEOUT_MS, () => this.#upgrade()))
  }

  /** Indexes at most `step` messages above the watermark. @returns the number of messages that are left. */
  catchUp(step?: number): number {
    this.#indexer.recount()
    if (this.#indexer.backlog.counts > 0) {
      withoutSync(this.#database, () => this.#commit(() => this.#indexer.catchUp(step)))
    }
    this.#emit(this.#status)
    return this.#indexer.backlog.counts
  }

  /** Runs a step of a removal. A step that a power failure loses is repeated. */
  remove<Step extends RemovalStep>(step: (removal: Removal) => Step): Step {
    const started = performance.now()
    const result = withoutSync(this.#database, () =>
      this.#commit(() => step(this.#removal), PROBE_LOCK_TIMEOUT_MS),
    )
    // Each step changes so many pages that an automatic checkpoint would take more than 50 ms.
    if (result.removed > 0) this.#write(() => this.#database.pragma('wal_checkpoint(PASSIVE)'))
    this.#removal.adapt(result, performance.now() - started)
    this.#indexer.noteRemoved(result.removed)
    return result
  }

  /** Overwrites some of what removed messages left, then empties the log; `busy` while a read needs it. */
  purge(): 'more' | 'busy' | 'done' {
    if (withoutSync(this.#database, () => this.#commit(() => this.#purge.step()))) return 'more'
    const truncate = () => this.#database.pragma('wal_checkpoint(TRUNCATE)', { simple: true })
    if (this.#write(truncate) !== 0) return 'busy'
    this.#purge.reset()
    return 'done'
  }

  /** Keeps rejected bodies. Its lock timeout is short, because appends wait for it. */
  keepRejected({ rows, limit }: RejectedBatch): void {
    this.#commit(() => {
      for (const row of rows) this.#query.rejected.insert.run(row)
      this.#query.rejected.trim.run({ limit })
    }, PROBE_LOCK_TIMEOUT_MS)
  }

  /** Deletes a rejected body. */
  removeRejected(id: number): void {
    this.#commit(() => this.#query.rejected.remove.run({ id }))
  }

  /**
   * Throws unless the files are in place and can be read and written, and no corruption was found.
   * A lock of another process is not an error as long as an append would wait for it.
   */
  probe(): void {
    if (this.#corruption) throw this.#corruption
    this.#query.readAny.get()
    try {
      this.#write(() =>
        this.#lock.run(PROBE_LOCK_TIMEOUT_MS, () => {
          this.#disk.assertWritable()
          this.#heartbeat()
        }),
      )
    } catch (error) {
      if (!isLocked(error) || this.#lock.lockedMs >= APPEND_LOCK_TIMEOUT_MS) throw error
    }
  }

  /**
   * Runs one step of indexing or merging, or truncates a large log, while no append waits.
   * A step that is due runs at once; other steps, and the truncation, run after a pause without appends. A failed step
   * is tried again later. Its error is not reported here: the next append fails for the same reason.
   */
  idle(): boolean | number {
    if (this.#indexer.isSettled && this.#walBytes <= LOG_LIMIT) return false
    // A bulk store is indexed by `catchUp` in large steps; small ones would take the lock between them.
    const isDue = !this.#bulk && this.#indexer.isDue
    const start = Math.max(this.#retryAt, isDue ? 0 : this.#lastAppend + IDLE_MS)
    const waitMs = start - performance.now()
    if (waitMs > 0) return waitMs
    try {
      this.#write(() => {
        if (this.#indexer.isSettled) this.#database.pragma('wal_checkpoint(TRUNCATE)')
        else withoutSync(this.#database, () => this.#transact(() => this.#indexer.step()))
      })
      // While messages arrive, the appends report the status.
      if (!isDue) this.#emit(this.#status)
      if (!this.#indexer.isSettled) return true
      return this.#walBytes > LOG_LIMIT && TRUNCATE_INTERVAL_MS
    } catch (error) {
      if (isCorruption(error)) this.#corruption ??= error
      this.#retryAt = performance.now() + IDLE_MS
      return IDLE_MS
    }
  }

  close(): void {
    this.#database.close()
  }

  get #status(): StoreStatus {
    return { backlog: this.#indexer.backlog.counts, walBytes: this.#walBytes }
  }

  #heartbeat(): void {
    this.#query.heartbeat.run({ at: new Date().toISOString() })
  }

  /** Runs the work in a transaction, and waits for locks. */
  #commit<Result>(work: () => Result, lockTimeoutMs = APPEND_LOCK_TIMEOUT_MS): Result {
    return this.#write(() => this.#lock.run(lockTimeoutMs, () => this.#transact(work)))
  }

  #transact<Result>(work: () => Result): Result {
    const { backlog } = this.#indexer
    try {
      return this.#transaction(work)
    } catch (error) {
      this.#indexer.backlog = backlog
      throw error
    }
  }

  /** Runs a write that requires that the files are in place before and after it. */
  #write<Result>(work: () => Result): Result {
    this.#guard.assertInPlace()
    const result = this.#disk.observe(work)
    this.#walBytes = this.#guard.assertInPlace()
    return result
  }
}

async function openOperations(context: WorkerContext<WriterData>) {
  const writer = await Writer.open(context)
  const operations = {
    append: (batch: FlatBatch) => writer.append(batch),
    upgrade: () => writer.upgrade(),
    catchUp: (step: number | undefined) => writer.catchUp(step),
    removeExpired: (before: string) => writer.remove((removal) => removal.removeExpired(before)),
    erase: (erasure: Erasure) => writer.remove((removal) => removal.erase(erasure)),
    purge: () => writer.purge(),
    keepRejected: (batch: RejectedBatch) => writer.keepRejected(batch),
    removeRejected: (id: number) => writer.removeRejected(id),
    probe: () => writer.probe(),
    close: () => writer.close(),
  }
  return { operations, idle: () => writer.idle(), ready: writer.ready }
}

/** The operations of the writer thread. */
export type WriterOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveRpc(openOperations)
