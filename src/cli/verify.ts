import { parseArgs } from 'node:util'
import { type DatabaseAddress, rebuildDatabase, verifyDatabase } from '../db/open.ts'
import type { Verification } from '../db/verification.ts'
import { existingDatabase, indexing } from './database.ts'
import { ProgressBar } from './progress.ts'

export const usage = '[--repair]'
export const summary = 'Compares counters and indexes with a recount of the messages.'
export const details = `  --repair   where they differ, builds them again from nothing, and compares once more

Prints a line for each kind of difference and how many there are; the status is 1 when there are any left. The service
may run meanwhile.`

async function compare(database: DatabaseAddress): Promise<Verification> {
  const bar = new ProgressBar('verifying')
  try {
    return await verifyDatabase(database, (messages, total) => bar.update(messages, total))
  } finally {
    bar.end()
  }
}

function report({ messages, differences }: Verification): void {
  for (const { table, kind, count } of differences) {
    process.stdout.write(`${table}: ${count} ${kind}\n`)
  }
  if (differences.length === 0) process.stdout.write(`no differences in ${messages} messages\n`)
}

/** Verifies, and repairs where asked. @returns 1 when there are differences in the end. */
export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { repair: { type: 'boolean', default: false } } })
  const database = existingDatabase()
  let verification = await compare(database)
  report(verification)
  if (values.repair && verification.differences.length > 0) {
    await indexing((onProgress) => rebuildDatabase(database, onProgress))
    verification = await compare(database)
    report(verification)
  }
  return verification.differences.length === 0 ? 0 : 1
}
