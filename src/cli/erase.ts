import { createInterface } from 'node:readline/promises'
import type { MessageStore } from '../db/message-store.ts'
import type { Erasure } from '../db/removal.ts'
import { allBodies } from './all-bodies.ts'
import { writeAudit } from './audit.ts'
import { prepareBodyMatcher } from './body-matcher.ts'
import {
  type DevelopmentOption,
  existingDatabase,
  indexing,
  openForBulk,
  yieldLock,
} from './database.ts'
import { ProgressBar } from './progress.ts'

/** Options of the command. */
export interface EraseOptions extends DevelopmentOption {
  from?: string
  id?: string[]
  dryRun?: boolean
  yes?: boolean
}

/** Ids that are erased in one step. */
const IDS_PER_STEP = 100

/** Returns what the options name. @throws Error if they name nothing, or both a sender and ids. */
function erasureOf({ from, id }: EraseOptions): Erasure {
  if ((from === undefined) === (id === undefined)) throw new Error('expected either --from or --id')
  return from === undefined ? { ids: [...new Set(id)] } : { from }
}

/** Returns the number of stored messages that will be erased. */
async function countMessages(store: MessageStore, erasure: Erasure): Promise<number> {
  if ('from' in erasure) {
    const { total = 0 } = await store.page({
      from: erasure.from,
      order: 'asc',
      limit: 1,
      offset: 0,
    })
    return total
  }
  let count = 0
  for (const id of erasure.ids) if (await store.message(id)) count++
  return count
}

/** Returns the ids of the rejected bodies that name what is erased. */
async function findBodies(store: MessageStore, erasure: Erasure): Promise<number[]> {
  const isNamed = prepareBodyMatcher(erasure)
  const found: number[] = []
  for await (const { id } of allBodies(store)) {
    const body = await store.rejected.find(id)
    if (body && isNamed(body.body)) found.push(id)
  }
  return found
}

/** What was erased so far. */
interface Erased {
  messages: number
  bodies: number
}

/** Erases the messages and the bodies, and purges what they leave; counts in `erased`. */
async function erase(store: MessageStore, erasure: Erasure, erased: Erased): Promise<void> {
  const steps: Erasure[] = []
  if ('from' in erasure) steps.push(erasure)
  else {
    for (let at = 0; at < erasure.ids.length; at += IDS_PER_STEP) {
      steps.push({ ids: erasure.ids.slice(at, at + IDS_PER_STEP) })
    }
  }
  const bar = new ProgressBar('erasing', 'messages')
  try {
    for (const step of steps) {
      for (let done = false; !done; await yieldLock()) {
        const result = await store.removal.erase(step)
        done = result.done
        erased.messages += result.removed
        bar.update(erased.messages)
      }
    }
  } finally {
    bar.end()
  }
  // Bodies that a running service kept meanwhile are included.
  for (const id of await findBodies(store, erasure)) {
    await store.rejected.remove(id)
    erased.bodies++
  }
  await store.removal.purge(yieldLock)
}

/** Asks on the terminal whether to continue. @throws Error without a terminal. */
async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new Error('standard input is not a terminal; add --yes to skip the confirmation')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return (await terminal.question(`${question} They cannot be restored. Type yes: `)) === 'yes'
  } finally {
    terminal.close()
  }
}

const countOf = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`

/** Returns the numbers as text. */
function describe(messages: number, bodies: number): string {
  return `${countOf(messages, 'message', 'messages')}, ${countOf(bodies, 'rejected body', 'rejected bodies')}`
}

/**
 * Erases the messages of a sender or with ids, and the rejected bodies that name them.
 * @returns the exit status, 1 if the operator declines.
 */
export async function run(options: EraseOptions): Promise<number> {
  const erasure = erasureOf(options)
  const store = await openForBulk(existingDatabase(options))
  try {
    const found = describe(
      await countMessages(store, erasure),
      (await findBodies(store, erasure)).length,
    )
    if (options.dryRun) {
      process.stdout.write(`${found}\n`)
      return 0
    }
    if (!options.yes && !(await confirm(`Erase ${found}?`))) return 1
    await indexing((onProgress) => store.catchUp(onProgress))
    const erased: Erased = { messages: 0, bodies: 0 }
    try {
      await erase(store, erasure, erased)
    } finally {
      // Also if a later step fails: the command is then repeated, and finds less.
      writeAudit('erase', { messages: erased.messages, rejected_bodies: erased.bodies })
    }
    process.stdout.write(`erased: ${describe(erased.messages, erased.bodies)}\n`)
    return 0
  } finally {
    await store.close()
  }
}
