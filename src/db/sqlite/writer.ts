import { migrate } from '../migrations/migrate.ts'
import type { AppendOutcome, StoreCondition } from '../store.ts'
import { byteOf, type FlatBatch, type FlatMessage, unflatten } from './batch.ts'
import {
  assertInPlace,
  type FileIdentity,
  identify,
  openWriter,
  preferBulk,
  waitBriefly,
} from './connection.ts'
import { assertSound, isDamage } from './damage.ts'
import { prepareDerive } from './derive.ts'
import { FullDisk } from './full-disk.ts'
import { LockPatience } from './lock-patience.ts'
import type { deriveQueries } from './queries/derive.ts'
import type { writeQueries } from './queries/write.ts'
import { prepareAll } from './statement.ts'
import { serveCalls, type ThreadContext } from './thread-main.ts'

/** What the writing thread is given. */
export interface WriterData {
  path: string
  /** The file that a thread before this one wrote to; a new one must not be made in its place. */
  previous: FileIdentity | undefined
  write: typeof writeQueries
  derive: typeof deriveQueries
  /** Whether memory is to be spent on taking very many messages at once. */
  bulk: boolean
}

/** What the writing thread tells when it is ready. */
export interface WriterReady {
  file: FileIdentity
  /** Rows adopted whose `ts` is no instant. */
  withoutInstant: number
}

/** How long messages wait for a lock that another program holds, in milliseconds: senders wait 15 to 30 s. */
const APPEND_PATIENCE_MS = 4000

/** The same for a readiness check, which is asked again soon and must not keep messages waiting. */
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

async function openOperations({ data, tell }: ThreadContext<WriterData>) {
  const { path, previous } = data
  if (previous) assertInPlace(path, previous)
  else assertSound(path)
  const database = openWriter(path, previous !== undefined)
  if (data.bulk) preferBulk(database)
  await migrate(database, APPEND_PATIENCE_MS)
  waitBriefly(database)
  const write = prepareAll(database, data.write)
  const derive = prepareDerive(database, data.derive)
  const lock = new LockPatience()

  const beat = (at = new Date().toISOString()): void => {
    write.beat.run({ at })
  }
  const disk = new FullDisk(beat)
  // There is a write-ahead log once something was written; a commit is in it before it is in the file.
  lock.run(APPEND_PATIENCE_MS, beat)
  const file = identify(path)
  const log = identify(`${path}-wal`)
  let logBytes = 0
  const assertBothInPlace = (): void => {
    assertInPlace(path, file)
    logBytes = assertInPlace(`${path}-wal`, log)
  }

  const insert = (message: FlatMessage): AppendOutcome => {
    if (write.insert.run(message) === 1) return 'created'
    return write.sameAsStored.get(message) ? 'duplicate' : 'altered'
  }
  const insertAll = database.transaction(
    (flat: FlatBatch): Uint8Array =>
      Uint8Array.from(unflatten(flat), (message) => byteOf(insert(message))),
  )

  const behind = (): number => {
    const { watermark = 0, newest } = write.backlog.get() ?? {}
    return Math.max(0, (newest ?? 0) - watermark)
  }
  let backlog = behind()
  let lastAppend = 0
  let damage: unknown

  const condition = (): StoreCondition => ({ backlog, logBytes })

  function deriveStep(step: number): void {
    backlog = derive(step) < step ? 0 : Math.max(0, backlog - step)
    tell(condition())
  }

  const operations = {
    /** Commits the batch, synced to disk, to the file that is still the one at the path. Tells each message's byte. */
    append(batch: FlatBatch): { outcomes: Uint8Array; condition: StoreCondition } {
      const outcomes = disk.notice(() =>
        lock.run(APPEND_PATIENCE_MS, () => {
          while (backlog > MAX_BACKLOG) deriveStep(BEHIND_STEP)
          return insertAll.immediate(batch)
        }),
      )
      assertBothInPlace()
      backlog += outcomes.length
      lastAppend = performance.now()
      return { outcomes, condition: condition() }
    },

    /** Derives one step of what is behind, of that many messages. @returns how many are left. */
    catchUp(step = BEHIND_STEP): number {
      backlog = behind()
      if (backlog > 0) lock.run(APPEND_PATIENCE_MS, () => deriveStep(step))
      return backlog
    },

    /** Throws unless the file is in place, sound as far as known, and can be read and written, shown by doing it. */
    probe(): void {
      if (damage) throw damage
      assertBothInPlace()
      write.readAny.get()
      lock.run(PROBE_PATIENCE_MS, () => {
        disk.assertRoom()
        beat()
      })
    },

    close(): void {
      database.close()
    },
  }

  /** Derives what is behind once it is quiet. A failure waits for the next quiet: whoever writes meets it too. */
  function idle(): boolean | number {
    if (backlog === 0) return false
    const quiet = performance.now() - lastAppend
    if (quiet < QUIET_MS) return QUIET_MS - quiet
    try {
      disk.notice(() => deriveStep(QUIET_STEP))
      return backlog > 0
    } catch (error) {
      if (isDamage(error)) damage ??= error
      lastAppend = performance.now()
      return QUIET_MS
    }
  }

  const withoutInstant = write.withoutInstant.get()?.count ?? 0
  return { operations, idle, ready: { file, withoutInstant } satisfies WriterReady }
}

/** What the writing thread can be asked for. */
export type WriterOperations = Awaited<ReturnType<typeof openOperations>>['operations']

await serveCalls(openOperations)
