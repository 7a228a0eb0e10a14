import { parseArgs } from 'node:util'
import { ConfigError } from '../config.ts'
import { forgetDerived, type Verification, verify } from '../db/sqlite/verify.ts'
import { existingDatabase, openForBulk } from './database.ts'
import { ProgressBar } from './progress.ts'

export const usage = '[--repair]'
export const summary = 'Compares counters and indexes with a recount of the messages.'
export const details = `  --repair   where they differ, builds them again from nothing, and compares once more

Prints a line for each kind of difference and how many there are; the status is 1 when there are any left. The service
may run meanwhile.`

function compare(path: string): Verification {
  const bar = new ProgressBar('verifying')
  try {
    return verify(path, (messages, total) => bar.update(messages, total))
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
  if (database.kind !== 'sqlite') throw new ConfigError('DATABASE_URL: not yet')
  const path = database.path ?? ''
  let verification = compare(path)
  report(verification)
  if (values.repair && verification.differences.length > 0) {
    forgetDerived(path)
    const store = await openForBulk(database)
    await store.close()
    verification = compare(path)
    report(verification)
  }
  return verification.differences.length === 0 ? 0 : 1
}
