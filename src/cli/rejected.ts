import { loadConfig } from '../config.ts'
import type { AppendOutcome, MessageStore } from '../db/message-store.ts'
import type { StoredRejectedBody } from '../db/rejected-bodies.ts'
import { findSource, requiredSettings } from '../sources/all.ts'
import { readBody } from '../sources/read-body.ts'
import type { Receiver } from '../sources/source.ts'
import { timestampInSeconds } from '../timestamp.ts'
import { allBodies } from './all-bodies.ts'
import {
  type DevelopmentOption,
  existingDatabase,
  indexing,
  openForBulk,
  yieldLock,
} from './database.ts'
import { formatOutcomes } from './outcomes.ts'
import { writeOutput } from './output.ts'

/** Options of the command. */
export interface RejectedOptions extends DevelopmentOption {
  /** Ids of the bodies to print or replay, as given; default: all. */
  id?: string[]
  /** Whether the bodies are read and stored again. */
  replay?: boolean
}

/** Returns the ids of an option. @throws Error if one is not an id. */
function parseIds(texts: readonly string[]): number[] {
  return texts.map((text) => {
    if (/^[1-9][0-9]{0,14}$/.test(text)) return Number(text)
    throw new Error(`--id: expected the number of a rejected body, found ${JSON.stringify(text)}`)
  })
}

/** Yields the bodies with these ids. @throws Error if no body has one of them. */
async function* bodiesOf(
  { rejected }: MessageStore,
  ids: readonly number[],
): AsyncGenerator<StoredRejectedBody, void> {
  for (const id of ids) {
    const body = await rejected.find(id)
    if (!body) throw new Error(`--id: no rejected body has the id ${id}`)
    yield body
  }
}

async function* listLines(store: MessageStore): AsyncGenerator<string, void> {
  for await (const { id, at, source, status, bytes, problems } of allBodies(store)) {
    const found = problems.map(({ loc, type }) => `${loc.join('.')} ${type}`).join(', ')
    yield `${id} ${at} ${source} ${status} ${bytes} ${found || '-'}\n`
  }
}

async function* contents(store: MessageStore, ids: readonly number[]) {
  for await (const { body } of bodiesOf(store, ids)) {
    yield body
    yield '\n'
  }
}

/** Returns a function that returns the receiver of a source, or the reason why there is none. */
function receiverFinder(options: DevelopmentOption): (source: string) => Receiver | string {
  const { sources } = loadConfig({ development: options.dev ?? false })
  return (name) => {
    const source = findSource(name)
    if (!source) return `this version has no source ${name}`
    return (
      source.createReceiver(sources[source.name]) ??
      `the source ${name} is not configured: set ${requiredSettings(source)}`
    )
  }
}

/**
 * Reads a body again, and stores its messages.
 * @returns the result in one line, and whether the body was accepted.
 */
async function replayBody(
  store: MessageStore,
  { source, headers, body }: StoredRejectedBody,
  findReceiver: (source: string) => Receiver | string,
): Promise<{ accepted: boolean; result: string }> {
  const receiver = findReceiver(source)
  if (typeof receiver === 'string') return { accepted: false, result: `not replayed: ${receiver}` }
  const read = readBody(receiver, body, headers, timestampInSeconds())
  if ('status' in read) {
    return { accepted: false, result: `rejected again with ${read.status}: ${read.reason}` }
  }
  const outcomes = read.messages.length === 0 ? [] : await store.append(read.messages)
  const count = (outcome: AppendOutcome) => outcomes.filter((one) => one === outcome).length
  const conflict = count('conflict')
  const counts = formatOutcomes({
    created: count('created'),
    duplicate: count('duplicate'),
    conflict,
  })
  // A body with a conflicting message is kept: the database has no other copy of that message.
  return conflict > 0
    ? {
        accepted: false,
        result: `kept, as its content differs from that of a stored message: ${counts}`,
      }
    : { accepted: true, result: `stored: ${counts}` }
}

/**
 * Replays bodies, oldest first, deletes the accepted ones, and yields a line for each result.
 * @param onRejected called when a body is not accepted.
 */
async function* replay(
  store: MessageStore,
  ids: number[],
  options: DevelopmentOption,
  onRejected: () => void,
): AsyncGenerator<string, void> {
  const findReceiver = receiverFinder(options)
  for (const id of ids.sort((a, b) => a - b)) {
    const body = await store.rejected.find(id)
    // A running service may have deleted it meanwhile to keep newer bodies.
    if (!body) continue
    const { accepted, result } = await replayBody(store, body, findReceiver)
    // After a crash before the deletion, the next replay finds duplicates and deletes the body.
    if (accepted) await store.rejected.remove(id)
    else onRejected()
    yield `${id} ${result}\n`
    await yieldLock()
  }
}

/**
 * Lists, prints or replays rejected bodies.
 * @returns the exit status, 1 if some are rejected again.
 * @throws Error if an id is invalid or no body has it, or if the database does not exist.
 */
export async function run(options: RejectedOptions): Promise<number> {
  const given = options.id && parseIds(options.id)
  const store = await openForBulk(existingDatabase(options))
  try {
    if (options.replay) {
      const ids = new Set<number>()
      for await (const { id } of given ? bodiesOf(store, given) : allBodies(store)) ids.add(id)
      let status = 0
      const onRejected = () => {
        status = 1
      }
      await writeOutput(replay(store, [...ids], options, onRejected))
      await indexing((onProgress) => store.catchUp(onProgress))
      return status
    }
    await writeOutput(given ? contents(store, given) : listLines(store))
    return 0
  } finally {
    await store.close()
  }
}
