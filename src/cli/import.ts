import { closeSync, openSync, type Stats, statSync, writeSync } from 'node:fs'
import type { DatabaseAddress } from '../config.ts'
import type { AppendOutcome, MessageStore } from '../db/message-store.ts'
import { companionFiles, resolveTarget } from '../db/sqlite/files.ts'
import type { NewMessage } from '../message/message.ts'
import { timestampInSeconds } from '../timestamp.ts'
import { readBulkLine } from './bulk-line.ts'
import { bulkDatabase, type DevelopmentOption, openForBulk, yieldLock } from './database.ts'
import { type Input, openInput } from './input.ts'
import { type Line, readLines } from './lines.ts'
import { formatOutcomes } from './outcomes.ts'
import { ProgressBar } from './progress.ts'

/** Options of the command. */
export interface ImportOptions extends DevelopmentOption {
  /** Path of the file to write rejected lines to. */
  rejected?: string
}

/**
 * Maximum length of a line in bytes.
 * A line may contain a text of 3 MB, the largest body of a source, twice: in `text` and in `payload`.
 */
const MAX_LINE_LENGTH = 16 * 1024 * 1024

/**
 * Messages per commit.
 * Each commit writes the index pages that it changed, which are spread over the file: larger batches write the same
 * page less often. A million messages took 80 s of CPU time in batches of 5,000 and 60 s in batches of 15,000. Still
 * larger ones would lock out other writers for too long.
 */
const BATCH_SIZE = 15_000

/** Bytes of lines after which a batch is stored with fewer messages; bounds its memory. */
const BATCH_BYTES = 64 * 1024 * 1024

/** Maximum rejected lines that are reported individually on standard error. */
const MAX_REPORTED_REJECTIONS = 20

/** Whether two paths refer to the same file, directly or through links. The files need not exist. */
function isSameFile(path: string, other: string): boolean {
  const [stat, otherStat] = [path, other].map((each) => statSync(each, { throwIfNoEntry: false }))
  if (!stat || !otherStat) return resolveTarget(path) === resolveTarget(other)
  return stat.isFile() && stat.ino === otherStat.ino && stat.dev === otherStat.dev
}

/**
 * Throws if the list of rejected lines is the input or a file of the database.
 * Opening the list would truncate that file.
 * @throws Error
 */
function assertNotOverwriting(list: string, input: Stats, database: DatabaseAddress): void {
  const stat = statSync(list, { throwIfNoEntry: false })
  if (stat?.isFile() && stat.ino === input.ino && stat.dev === input.dev) {
    throw new Error(`--rejected: ${list} is the file to import`)
  }
  const path = database.kind === 'sqlite' ? database.path : undefined
  if (path === undefined) return
  if (isSameFile(list, path)) throw new Error(`--rejected: ${list} is the database`)
  if (companionFiles(resolveTarget(path)).some((file) => isSameFile(list, file))) {
    throw new Error(`--rejected: ${list} belongs to the database`)
  }
}

/** Counts of the outcomes of all lines, and the list of rejected ones. */
class Tally {
  created = 0
  duplicate = 0
  conflict = 0
  rejected = 0
  readonly #reported: string[] = []
  /** Descriptor of the file of rejected lines. */
  readonly #list: number | undefined

  /** @param path file of rejected lines. */
  constructor(path: string | undefined) {
    this.#list = path === undefined ? undefined : openSync(path, 'w')
  }

  /** Counts the outcomes of a batch. */
  count(outcomes: AppendOutcome[]): void {
    for (const outcome of outcomes) this[outcome]++
  }

  /** Counts and reports a rejected line. */
  reject(line: number, reason: string): void {
    this.rejected++
    const text = `line ${line}: ${reason}\n`
    if (this.rejected <= MAX_REPORTED_REJECTIONS) this.#reported.push(text)
    if (this.#list !== undefined) writeSync(this.#list, text)
  }

  /** Number of lines processed. */
  get lines(): number {
    return this.created + this.duplicate + this.conflict + this.rejected
  }

  /** Prints the counts and the first rejected lines. */
  report(): void {
    if (this.#list !== undefined) closeSync(this.#list)
    const more = this.rejected - this.#reported.length
    if (more > 0) this.#reported.push(`… and ${more} more rejected\n`)
    process.stderr.write(this.#reported.join(''))
    process.stdout.write(`${formatOutcomes(this)}, rejected ${this.rejected}\n`)
  }
}

/** Stores and indexes batches one after the other, with pauses for other writers. */
class BulkWriter {
  readonly #store: MessageStore
  readonly #tally: Tally
  #pending: Promise<void> = Promise.resolve()

  constructor(store: MessageStore, tally: Tally) {
    this.#store = store
    this.#tally = tally
  }

  /** Waits until the previous batch is stored, and starts to store this one while reading continues. */
  async append(batch: NewMessage[]): Promise<void> {
    await this.#pending
    this.#pending = this.#write(batch)
    // The next call rejects with an error; until then it must not count as an unhandled rejection.
    this.#pending.catch(() => {})
  }

  async #write(batch: NewMessage[]): Promise<void> {
    this.#tally.count(await this.#store.append(batch))
    await yieldLock()
    await this.#store.catchUp(yieldLock)
    await yieldLock()
  }

  /** Resolves once all batches are stored and indexed. */
  end(): Promise<void> {
    return this.#pending
  }
}

/** Returns the message of a line; undefined if the line is blank or was rejected. */
function messageOf({ number, bytes }: Line, now: string, tally: Tally): NewMessage | undefined {
  if (bytes?.length === 0 || (bytes?.length === 1 && bytes[0] === 0x0d)) return undefined
  const read = bytes
    ? readBulkLine(bytes, now)
    : `line is longer than ${MAX_LINE_LENGTH / 1024 / 1024} MiB`
  if (typeof read !== 'string') return read
  tally.reject(number, read)
  return undefined
}

/** Yields the items until the source fails; calls `onError` instead of throwing. */
async function* untilError<Item>(
  items: AsyncIterable<Item>,
  onError: (error: unknown) => void,
): AsyncGenerator<Item, void> {
  try {
    for await (const item of items) yield item
  } catch (error) {
    onError(error)
  }
}

/** Returns the error of an input that could not be read completely. */
function readFailure(error: unknown, { name }: Input, lines: number): Error {
  const reason = error instanceof Error ? error.message : String(error)
  const stored = lines > 0 ? '; messages read until then are stored' : ''
  return new Error(`cannot read ${name}: ${reason}${stored}`, { cause: error })
}

/**
 * Stores the messages of an input.
 * If reading fails, as at the end of a truncated .gz file, the complete lines before the error are stored. A later
 * import of the whole file counts them as duplicates.
 */
async function store(input: Input, into: MessageStore, tally: Tally): Promise<void> {
  const writer = new BulkWriter(into, tally)
  const bar = new ProgressBar('importing', input.unit)
  let failure: { error: unknown } | undefined
  const read = readLines(input.chunks, MAX_LINE_LENGTH)
  const onError = (error: unknown): void => {
    failure = { error }
  }
  try {
    let batch: NewMessage[] = []
    let bytes = 0
    for await (const lines of untilError(read, onError)) {
      const now = timestampInSeconds()
      for (const line of lines) {
        const message = messageOf(line, now, tally)
        if (message) batch.push(message)
        bytes += line.bytes?.length ?? 0
        if (batch.length < BATCH_SIZE && bytes < BATCH_BYTES) continue
        if (batch.length > 0) await writer.append(batch)
        batch = []
        bytes = 0
        input.showProgress(bar, tally.lines)
      }
    }
    if (batch.length > 0) await writer.append(batch)
    await writer.end()
    input.showProgress(bar, tally.lines)
    if (failure) throw readFailure(failure.error, input, tally.lines)
  } finally {
    bar.end()
  }
}

/** Imports a file. @returns the exit status, 1 if a line was rejected. */
export async function run(file: string, { dev, rejected }: ImportOptions): Promise<number> {
  const database = bulkDatabase({ dev })
  const input = await openInput(file)
  if (rejected !== undefined) assertNotOverwriting(rejected, input.stat, database)
  const tally = new Tally(rejected)
  const opened = await openForBulk(database)
  try {
    await store(input, opened, tally)
  } finally {
    await opened.close()
    tally.report()
  }
  return tally.rejected === 0 ? 0 : 1
}
