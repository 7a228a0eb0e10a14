import type { Database } from 'better-sqlite3'
import type { AppendOutcome, StoreStatus } from '../../message-store.ts'
import { encodeOutcome, type FlatBatch, type MessageRow, unflatten } from '../batch.ts'
import { BusyRetry } from '../busy-retry.ts'
import { LOG_LIMIT, openWriter, optimizeForBulk, useShortBusyTimeout } from '../connection.ts'
import { isCorruption, isLocked } from '../errors.ts'
import { type DatabaseFiles, FileGuard, identifyFiles } from '../files.ts'
import { FullDisk } from '../full-disk.ts'
import { prepareIndexing } from '../indexing.ts'
import { inspectFile } from '../inspect.ts'
import { migrate } from '../migrations/migrate.ts'
import type { indexingQueries } from '../queries/indexing.ts'
import type { writeQueries } from '../queries/write.ts'
import { type Prepared, prepareAll } from '../statement.ts'
import { serveRpc, type WorkerContext } from './runtime.ts'

/** The data of the writer thread. */
export interface WriterData {
  /** As configured. */
  configuredPath: string
  /** Without symbolic links. */
  path: string
  /** The files of the previous writer thread, which must still be in place. */
  previous: DatabaseFiles | undefined
  write: typeof writeQueries
  index: typeof indexingQueries
  /** Whether to spend memory on storing very many messages. */
  bulk: boolean
}

/** What the writer thread posts when it is ready. */
export interface WriterReady {
  files: DatabaseFiles
  /** Number of adopted messages whose `ts` is not an instant. */
  withoutInstant: number
}

/** Milliseconds that an append waits for a lock of another program. Senders wait 15 to 30 s. */
const APPEND_LOCK_TIMEOUT_MS = 4000

/** Milliseconds that a readiness check waits for a lock: few, as appends wait for the check. */
const PROBE_LOCK_TIMEOUT_MS = 500

/**
 * Messages indexed in one transaction while no messages arrive.
 * One step takes about 15 ms, by which it may delay an append.
 */
const IDLE_STEP = 1000

/**
 * Messages indexed in one transaction while messages arrive, and by `catchUp`.
 * Per message, it costs a quarter less than `IDLE_STEP`.
 */
const BACKLOG_STEP = 4000

/**
 * Maximum number of messages above the watermark.
 * With a larger backlog an append first indexes messages. Every read also processes the messages above the watermark, at
 * about 1 µs each.
 */
const MAX_BACKLOG = 50_000

/** Milliseconds without an append after which the backlog is indexed. */
const IDLE_MS = 100

/** Milliseconds between two attempts to truncate the log, which fail while a reader needs it. */
const TRUNCATE_INTERVAL_MS = 1000

/** The connection that writes. */
class Writer {
  readonly ready: WriterReady
  readonly #database: Database
  readonly #query: Prepared<typeof writeQueries>
  readonly #index: ReturnType<typeof prepareIndexing>
  readonly #insertAll: (batch: FlatBatch) => Uint8Array
  readonly #emit: (status: StoreStatus) => void
  readonly #lock: BusyRetry
  readonly #disk = new FullDisk((text) => this.#query.heartbeat.run({ at: text }))
  readonly #guard: FileGuard
  #backlog: number
  #walBytes: number
  #lastAppend = 0
  #corruption: unknown

  /** Opens the database and migrates it. */
  static async open({ data, emit }: WorkerContext<WriterData>): Promise<Writer> {
    if (data.previous) new FileGuard(data.previous).assertInPlace()
    else inspectFile(data.path)
    const database = openWriter(data.path, data.previous !== undefined)
    if (data.bulk) optimizeForBulk(database)
    await migrate(database, APPEND_LOCK_TIMEOUT_MS)
    useShortBusyTimeout(database)
    return new Writer(database, data, emit)
  }

  private constructor(database: Database, data: WriterData, emit: (status: StoreStatus) => void) {
    this.#database = database
    this.#emit = emit
    this.#query = prepareAll(database, data.write)
    this.#index = prepareIndexing(database, data.index)
    this.#insertAll = database.transaction((batch: FlatBatch) =>
      Uint8Array.from(unflatten(batch), (message) => encodeOutcome(this.#insert(message))),
    ).immediate
    this.#lock = new BusyRetry(() => database.pragma('data_version', { simple: true }))
    // On a full disk the store serves reads.
    this.#disk.tolerate(() => this.#lock.run(APPEND_LOCK_TIMEOUT_MS, () => this.#heartbeat()))
    this.#backlog = this.#countBacklog()
    // SQLite has created the log and the shared memory by now, as the database was read.
    const files = identifyFiles(data.configuredPath, data.path)
    this.#guard = new FileGuard(files)
    this.#walBytes = this.#guard.assertInPlace()
    this.ready = { files, withoutInstant: this.#query.countWithoutInstant.get()?.count ?? 0 }
  }

  /** Commits a batch, synced to disk. Returns the encoded outcome of each message. */
  append(batch: FlatBatch): { outcomes: Uint8Array; status: StoreStatus } {
    const outcomes = this.#write(() =>
      this.#lock.run(APPEND_LOCK_TIMEOUT_MS, () => {
        while (this.#backlog > MAX_BACKLOG) this.#indexStep(BACKLOG_STEP)
        return this.#insertAll(batch)
      }),
    )
    this.#backlog += outcomes.length
    this.#lastAppend = performance.now()
    return { outcomes, status: this.#status }
  }

  /** Indexes at most `step` messages above the watermark. @returns the number of messages that are left. */
  catchUp(step = BACKLOG_STEP): number {
    this.#backlog = this.#countBacklog()
    if (this.#backlog > 0) {
      this.#write(() => this.#lock.run(APPEND_LOCK_TIMEOUT_MS, () => this.#indexStep(step)))
    }
    return this.#backlog
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
   * Indexes the backlog, then truncates a large log, while no messages arrive.
   * After a failure it tries again later; the next append meets the same failure and reports it.
   */
  idle(): boolean | number {
    if (this.#backlog === 0 && this.#walBytes <= LOG_LIMIT) return false
    const idleMs = performance.now() - this.#lastAppend
    if (idleMs < IDLE_MS) return IDLE_MS - idleMs
    try {
      if (this.#backlog > 0) this.#write(() => this.#indexStep(IDLE_STEP))
      else this.#write(() => this.#database.pragma('wal_checkpoint(TRUNCATE)'))
      if (this.#backlog > 0) return true
      return this.#walBytes > LOG_LIMIT && TRUNCATE_INTERVAL_MS
    } catch (error) {
      if (isCorruption(error)) this.#corruption ??= error
      this.#lastAppend = performance.now()
      return IDLE_MS
    }
  }

  close(): void {
    this.#database.close()
  }

  get #status(): StoreStatus {
    return { backlog: this.#backlog, walBytes: this.#walBytes }
  }

  #countBacklog(): number {
    const { watermark = 0, newest } = this.#query.progress.get() ?? {}
    return Math.max(0, (newest ?? 0) - watermark)
  }

  #heartbeat(): void {
    this.#query.heartbeat.run({ at: new Date().toISOString() })
  }

  /** Runs a write that requires that the files are in place before and after it. */
  #write<Result>(work: () => Result): Result {
    this.#guard.assertInPlace()
    const result = this.#disk.observe(work)
    this.#walBytes = this.#guard.assertInPlace()
    return result
  }

  #indexStep(step: number): void {
    this.#backlog = this.#index(step) < step ? 0 : Math.max(0, this.#backlog - step)
    this.#emit(this.#status)
  }

  #insert(message: MessageRow): AppendOutcome {
    if (this.#query.insert.run(message) === 1) return 'created'
    return this.#query.findDuplicate.get(message) ? 'duplicate' : 'conflict'
  }
}

async function openOperations(context: WorkerContext<WriterData>) {
  const writer = await Writer.open(context)
  const operations = {
    append: (batch: FlatBatch) => writer.append(batch),
    catchUp: (step: number | undefined) => writer.catchUp(step),
    probe: () => writer.probe(),
    close: () => writer.close(),
  }
  return { operations, idle: () => writer.idle(), ready: writer.ready }
}

/** The operations of the writer thread. */
export type WriterOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveRpc(openOperations)
