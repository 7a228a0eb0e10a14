import type { Test } from 'tap'
import { runEntry } from './service.ts'

/** Returns the number of messages in the output of `verify`, indexed or not; NaN if it found differences. */
export function countVerified(output: string): number {
  const [, indexed, others = 0] =
    /^no differences in (\d+) messages?(?:; (\d+) (?:is|are) not indexed yet)?/m.exec(output) ?? []
  return Number(indexed) + Number(others)
}

/** Asserts that `verify` finds no differences in this number of messages. */
export async function assertVerified(
  t: Test,
  environment: Record<string, string>,
  messages: number,
): Promise<void> {
  const { status, stdout, stderr } = await runEntry(t, ['verify'], environment)
  t.equal(status, 0, stdout + stderr)
  t.equal(countVerified(stdout), messages, 'verify finds no differences')
}
