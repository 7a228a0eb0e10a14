import { closeSync, fstatSync, openSync, type Stats, statSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { DatabaseAddress } from '../config.ts'
import type { AppendOutcome, MessageStore } from '../db/message-store.ts'
import { companionFiles, resolveTarget } from '../db/sqlite/files.ts'
import type { StoredMessage } from '../message/message.ts'
import { readBulkLine } from './bulk-line.ts'
import { bulkDatabase, type DevelopmentOption, openForBulk, yieldLock } from './database.ts'
import { type Line, readLines } from './lines.ts'
import { ProgressBar, type Unit } from './progress.ts'

/** The options of the command. */
export interface ImportOptions extends DevelopmentOption {
  rejected?: string
}

/** A line of more bytes is rejected, as a body of the webhook is. */
const MAX_LINE_LENGTH = 64 * 1024

/**
 * Messages that share a commit, and then a step of bringing counters and indexes up to date. The pages of the indexes
 * are met in no order, and each commit writes those that it met: the more messages share one, the fewer are written
 * again. A million took 80 s of processor time in batches of 5000, 60 s in these. More would keep others waiting.
 */
const BATCH = 15_000

/** How many rejected lines are told one by one. */
const MAX_REPORTED_REJECTIONS = 20

/** Where the lines come from, and how far they were read, where that can be told. */
interface Input {
  /** For messages. */
  name: string
  stat: Stats
  chunks: AsyncIterable<Buffer>
  unit: Unit
  showProgress: (bar: ProgressBar, messages: number) => void
}

async function openInput(file: string): Promise<Input> {
  if (file === '-') {
    return {
      name: 'standard input',
      stat: fstatSync(0),
      chunks: process.stdin,
      unit: 'messages',
      showProgress: (bar, messages) => bar.update(messages),
    }
  }
  const handle = await open(file)
  const stat = await handle.stat()
  const bytes = handle.createReadStream({ highWaterMark: 1024 * 1024 })
  // An error of either stream rejects the iteration over the last one, which may begin later than the error occurs.
  const chunks: Readable = file.endsWith('.gz') ? pipeline(bytes, createGunzip(), () => {}) : bytes
  chunks.on('error', () => {})
  return {
    name: file,
    stat,
    chunks,
    unit: stat.isFile() ? 'bytes' : 'messages',
    showProgress: (bar, messages) =>
      stat.isFile() ? bar.update(bytes.bytesRead, stat.size) : bar.update(messages),
  }
}

/** Whether both paths lead to one file, by symbolic or hard links too. Neither has to exist yet. */
function isSameFile(path: string, other: string): boolean {
  const [stat, otherStat] = [path, other].map((each) => statSync(each, { throwIfNoEntry: false }))
  if (!stat || !otherStat) return resolveTarget(path) === resolveTarget(other)
  return stat.isFile() && stat.ino === otherStat.ino && stat.dev === otherStat.dev
}

/**
 * Rejects a list that is the input or a file of the database, which opening the list would truncate.
 * @throws Error in one line.
 */
function assertSeparate(list: string, input: Stats, database: DatabaseAddress): void {
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

/** What became of every line; the rejected ones are listed in a file, where one is named. */
class Tally {
  created = 0
  duplicate = 0
  conflict = 0
  rejected = 0
  readonly #told: string[] = []
  readonly #list: number | undefined

  constructor(list: string | undefined) {
    this.#list = list === undefined ? undefined : openSync(list, 'w')
  }

  count(outcomes: AppendOutcome[]): void {
    for (const outcome of outcomes) this[outcome]++
  }

  reject(line: number, reason: string): void {
    this.rejected++
    const told = `line ${line}: ${reason}\n`
    if (this.rejected <= MAX_REPORTED_REJECTIONS) this.#told.push(told)
    if (this.#list !== undefined) writeSync(this.#list, told)
  }

  get lines(): number {
    return this.created + this.duplicate + this.conflict + this.rejected
  }

  report(): void {
    if (this.#list !== undefined) closeSync(this.#list)
    const more = this.rejected - this.#told.length
    if (more > 0) this.#told.push(`… and ${more} more rejected\n`)
    process.stderr.write(this.#told.join(''))
    const { created, conflict, rejected } = this
    const duplicate = `duplicate ${this.duplicate + conflict}${conflict > 0 ? ` (${conflict} conflicting)` : ''}`
    process.stdout.write(`created ${created}, ${duplicate}, rejected ${rejected}\n`)
  }
}

/** Stores batches one after the other, each with what is derived from it, and pauses for other writers. */
class BulkWriter {
  readonly #store: MessageStore
  readonly #tally: Tally
  #underWay: Promise<void> = Promise.resolve()

  constructor(store: MessageStore, tally: Tally) {
    this.#store = store
    this.#tally = tally
  }

  /** Takes a batch once the one before it is stored: meanwhile the next one is read. */
  async append(batch: StoredMessage[]): Promise<void> {
    await this.#underWay
    this.#underWay = this.#write(batch)
    // Whoever waits for it hears of a failure; until somebody does, it must not end the process.
    this.#underWay.catch(() => {})
  }

  async #write(batch: StoredMessage[]): Promise<void> {
    this.#tally.count(await this.#store.append(batch))
    await yieldLock()
    await this.#store.catchUp(yieldLock)
    await yieldLock()
  }

  /** Resolves when everything is stored and derived. */
  end(): Promise<void> {
    return this.#underWay
  }
}

/** The message of a line; a rejected one is noted. Blank lines are nothing. */
function messageOf({ number, bytes }: Line, now: string, tally: Tally): StoredMessage | undefined {
  if (bytes?.length === 0 || (bytes?.length === 1 && bytes[0] === 0x0d)) return undefined
  const read = bytes
    ? readBulkLine(bytes, now)
    : `line is longer than ${MAX_LINE_LENGTH / 1024} KiB`
  if (typeof read !== 'string') return read
  tally.reject(number, read)
  return undefined
}

/** Yields the items; an error of their source ends them and is passed to the callback. */
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

function readFailure(error: unknown, { name }: Input, lines: number): Error {
  const reason = error instanceof Error ? error.message : String(error)
  const kept = lines > 0 ? '; messages read until then are stored' : ''
  return new Error(`cannot read ${name}: ${reason}${kept}`, { cause: error })
}

/**
 * Stores the messages of an input. If reading fails, such as at the end of a truncated .gz file, the complete lines read
 * until then are stored all the same; importing the whole file later counts them as duplicates.
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
    let batch: StoredMessage[] = []
    for await (const lines of untilError(read, onError)) {
      const now = `${new Date().toISOString().slice(0, 19)}Z`
      for (const line of lines) {
        const message = messageOf(line, now, tally)
        if (message) batch.push(message)
        if (batch.length < BATCH) continue
        await writer.append(batch)
        batch = []
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

/** Imports a file. @returns 1 when a line was rejected. */
export async function run(file: string, { dev, rejected }: ImportOptions): Promise<number> {
  const database = bulkDatabase({ dev })
  const input = await openInput(file)
  if (rejected !== undefined) assertSeparate(rejected, input.stat, database)
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
