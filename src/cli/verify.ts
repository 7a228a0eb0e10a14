import type { DatabaseAddress } from '../config.ts'
import { rebuildDatabase, verifyDatabase } from '../db/open.ts'
import type { Verification } from '../db/verification.ts'
import { type DevelopmentOption, existingDatabase, indexing } from './database.ts'
import { ProgressBar } from './progress.ts'

/** Options of the command. */
export interface VerifyOptions extends DevelopmentOption {
  repair?: boolean
}

/** Compares counters and indexes with a recount. */
async function compare(database: DatabaseAddress): Promise<Verification> {
  const bar = new ProgressBar('verifying', 'messages')
  try {
    return await verifyDatabase(database, (messages, total) => bar.update(messages, total))
  } finally {
    bar.end()
  }
}

/** Describes the messages that were not compared, as the end of a line; empty if there are none. */
function describePending(pending: number): string {
  if (pending === 0) return ''
  return `; ${pending} ${pending === 1 ? 'is' : 'are'} not indexed yet; queries read them directly`
}

function report({ messages, pending, differences }: Verification): void {
  for (const { table, kind, count } of differences) {
    process.stdout.write(`${table}: ${count} ${kind}\n`)
  }
  if (differences.length > 0) return
  process.stdout.write(`no differences in ${messages} messages${describePending(pending)}\n`)
}

/** Compares and prints the differences. @returns whether there are none. */
async function check(database: DatabaseAddress): Promise<boolean> {
  const verification = await compare(database)
  report(verification)
  return verification.differences.length === 0
}

/** Verifies a SQLite file. @returns the exit status, 1 if there are differences. */
export async function verifyFile(path: string): Promise<number> {
  return (await check({ kind: 'sqlite', path })) ? 0 : 1
}

/**
 * Verifies the database, and repairs it on request.
 * @returns the exit status, 1 if differences remain.
 */
export async function run(options: VerifyOptions): Promise<number> {
  const database = existingDatabase(options)
  if (await check(database)) return 0
  if (!options.repair) return 1
  await indexing((onProgress) => rebuildDatabase(database, onProgress))
  return (await check(database)) ? 0 : 1
}
