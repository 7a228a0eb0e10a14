import type { AppendOutcome, StoreStatus } from '../../message-store.ts'
import { byteOf, type FlatBatch, type FlatMessage, unflatten } from '../batch.ts'
import { BusyRetry, isLocked } from '../busy-retry.ts'
import { LOG_LIMIT, openWriter, preferBulk, waitBriefly } from '../connection.ts'
import { type DatabaseFiles, FileGuard, identifyFiles } from '../files.ts'
import { FullDisk } from '../full-disk.ts'
import { prepareIndexing } from '../indexing.ts'
import { inspectFile } from '../inspect.ts'
import { isCorruption } from '../integrity.ts'
import { migrate } from '../migrations/migrate.ts'
import type { indexingQueries } from '../queries/indexing.ts'
import type { writeQueries } from '../queries/write.ts'
import { prepareAll } from '../statement.ts'
import { serveRpc, type WorkerContext } from './runtime.ts'

/** What the writing thread is given. */
export interface WriterData {
  /** As configured; `path` is the same without symbolic links. */
  configuredPath: string
  path: string
  /** The files that a thread before this one wrote to; new ones must not be made in their place. */
  previous: DatabaseFiles | undefined
  write: typeof writeQueries
  derive: typeof indexingQueries
  /** Whether memory is to be spent on taking very many messages at once. */
  bulk: boolean
}

/** What the writing thread tells when it is ready. */
export interface WriterReady {
  files: DatabaseFiles
  /** Rows adopted whose `ts` is no instant. */
  withoutInstant: number
}

/** How long messages wait for a lock that another program holds, in milliseconds: senders wait 15 to 30 s. */
const APPEND_PATIENCE_MS = 4000

/**
 * The same for a readiness check, which must not keep messages waiting. A lock that it meets is no failure before
 * messages would be refused because of it.
 */
const PROBE_PATIENCE_MS = 500

/** Rows derived in one transaction while it is quiet: some 15 ms, after which a message is let in. */
const QUIET_STEP = 1000

/** The same while messages arrive faster than that: more at once are a quarter cheaper each. */
const BEHIND_STEP = 4000

/**
 * Rows that may wait to be derived while messages arrive; past it the writer catches up first. Every question reads
 * what waits, at about a microsecond a row.
 */
const MAX_BACKLOG = 50_000

/** Milliseconds without a message after which the rest is derived. */
const QUIET_MS = 100

/** Milliseconds between two attempts to truncate the log: the first may find a reader that still needs it. */
const TRUNCATE_EVERY_MS = 1000

async function openOperations({ data, tell }: WorkerContext<WriterData>) {
  const { configuredPath, path, previous } = data
  if (previous) new FileGuard(previous).assertInPlace()
  else inspectFile(path)
  const database = openWriter(path, previous !== undefined)
  if (data.bulk) preferBulk(database)
  await migrate(database, APPEND_PATIENCE_MS)
  waitBriefly(database)
  const write = prepareAll(database, data.write)
  const derive = prepareIndexing(database, data.derive)
  const lock = new BusyRetry(() => database.pragma('data_version', { simple: true }))

  const heartbeat = (at = new Date().toISOString()): void => {
    write.beat.run({ at })
  }
  const disk = new FullDisk(heartbeat)
  // On a full disk reads are served, and writes once there is room.
  disk.tolerate(() => lock.run(APPEND_PATIENCE_MS, heartbeat))
  const behind = (): number => {
    const { watermark = 0, newest } = write.backlog.get() ?? {}
    return Math.max(0, (newest ?? 0) - watermark)
  }
  let backlog = behind()
  // The log and the shared memory exist once something was read.
  const files = identifyFiles(configuredPath, path)
  const guard = new FileGuard(files)
  let walBytes = guard.assertInPlace()
  let lastAppend = 0
  let damage: unknown

  const condition = (): StoreStatus => ({ backlog, walBytes })

  /** Runs a write on the files that are in place before it and after it. */
  function guarded<Result>(work: () => Result): Result {
    guard.assertInPlace()
    const result = disk.notice(work)
    walBytes = guard.assertInPlace()
    return result
  }

  function indexStep(step: number): void {
    backlog = derive(step) < step ? 0 : Math.max(0, backlog - step)
    tell(condition())
  }

  const insert = (message: FlatMessage): AppendOutcome => {
    if (write.insert.run(message) === 1) return 'created'
    return write.sameAsStored.get(message) ? 'duplicate' : 'conflict'
  }
  const insertAll = database.transaction(
    (flat: FlatBatch): Uint8Array =>
      Uint8Array.from(unflatten(flat), (message) => byteOf(insert(message))),
  )

  const operations = {
    /** Commits the batch, synced to disk, to the file that is still the one at the path. Tells each message's byte. */
    append(batch: FlatBatch): { outcomes: Uint8Array; condition: StoreStatus } {
      const outcomes = guarded(() =>
        lock.run(APPEND_PATIENCE_MS, () => {
          while (backlog > MAX_BACKLOG) indexStep(BEHIND_STEP)
          return insertAll.immediate(batch)
        }),
      )
      backlog += outcomes.length
      lastAppend = performance.now()
      return { outcomes, condition: condition() }
    },

    /** Derives one step of what is behind, of that many messages. @returns how many are left. */
    catchUp(step = BEHIND_STEP): number {
      backlog = behind()
      if (backlog > 0) guarded(() => lock.run(APPEND_PATIENCE_MS, () => indexStep(step)))
      return backlog
    },

    /**
     * Throws unless the files are in place, sound as far as known, and can be read and written, shown by doing it. A
     * lock of another process passes as long as `append` would wait for it.
     */
    probe(): void {
      if (damage) throw damage
      write.readAny.get()
      try {
        guarded(() =>
          lock.run(PROBE_PATIENCE_MS, () => {
            disk.assertRoom()
            heartbeat()
          }),
        )
      } catch (error) {
        if (!isLocked(error) || lock.lockedMs >= APPEND_PATIENCE_MS) throw error
      }
    },

    close(): void {
      database.close()
    },
  }

  /**
   * Once no message has come for a while, derives what is behind, then truncates a log that a long read let grow. A
   * failure waits for the next quiet: the next write meets it too.
   */
  function idle(): boolean | number {
    if (backlog === 0 && walBytes <= LOG_LIMIT) return false
    const quiet = performance.now() - lastAppend
    if (quiet < QUIET_MS) return QUIET_MS - quiet
    try {
      if (backlog > 0) guarded(() => indexStep(QUIET_STEP))
      else guarded(() => database.pragma('wal_checkpoint(TRUNCATE)'))
      if (backlog > 0) return true
      return walBytes > LOG_LIMIT && TRUNCATE_EVERY_MS
    } catch (error) {
      if (isCorruption(error)) damage ??= error
      lastAppend = performance.now()
      return QUIET_MS
    }
  }

  const withoutInstant = write.withoutInstant.get()?.count ?? 0
  return { operations, idle, ready: { files, withoutInstant } satisfies WriterReady }
}

/** What the writing thread can be asked for. */
export type WriterOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveRpc(openOperations)
