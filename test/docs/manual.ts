import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import { until } from '../../tools/until.ts'
import { countVerified } from '../verified.ts'
import { type Block, readBlocks, type StoreName } from './manual-blocks.ts'
import { type ManualRun, SOME_MESSAGES, sorted } from './manual-run.ts'

/** The commands of the manual. */
export const blocks = readBlocks(new URL('../../docs/operations.md', import.meta.url))

/**
 * What the manual says about the result of a command, by a part of the command.
 * A check is called after each block that contains the command, with the output of the block.
 */
export const CHECKS: Record<string, (t: Test, output: string, run: ManualRun) => unknown> = {
  ' backup ': (t, output) => t.match(output, /^\d+ messages, \d+ bytes$/m),
  ' restore ': (t, output) => t.match(output, /^\d+ messages, \d+ bytes$/m),
  ' verify': (t, output) => t.ok(countVerified(output) >= SOME_MESSAGES, output),
  ' --verify': (t, output) => t.ok(countVerified(output) >= SOME_MESSAGES, output),
  ' erase ': (t, output) =>
    t.match(
      output,
      /^0 messages, 0 rejected bodies\n(erased: 0 messages, 0 rejected bodies\n){2}$/m,
    ),
  ' rejected': (t, output) => t.match(output, /422/),
  'export > newer.ndjson': (t, _output, run) =>
    t.strictSame(idsOf(newerLines(run)), run.acknowledged.toSorted(), 'every message with a 200'),
  'import newer.ndjson': async (t, output, run) => {
    t.match(output, /^created [1-9]\d*, duplicate [1-9]\d*, rejected 0$/m)
    t.strictSame(await run.exportSorted(), newerLines(run), 'the same number and content')
  },
}

const newerLines = (run: ManualRun) => sorted(readFileSync(`${run.folder}/newer.ndjson`, 'utf8'))

/** Returns the ids of exported lines, sorted. */
const idsOf = (lines: string[]): string[] => lines.map((line) => JSON.parse(line).message_id).sort()

/** Runs the block and its checks. */
async function runBlock(t: Test, run: ManualRun, block: Block): Promise<void> {
  const output = await run.run(block)
  t.pass(`${block.section}: ${block.script.trim()}`)
  for (const [command, check] of Object.entries(CHECKS)) {
    if (block.script.includes(command)) await check(t, output, run)
  }
}

/** Runs all commands for a store, then stops the traffic and compares the messages with those that got 200. */
export async function runManual(t: Test, store: StoreName, run: ManualRun): Promise<void> {
  const { next, ids } = await run.readFeed()
  for (const block of blocks) {
    if (block.stores.includes(store)) await runBlock(t, run, block)
  }
  await run.stopTraffic()
  const expected = run.acknowledged.toSorted()
  // On PostgreSQL, the feed has a message when all earlier transactions have ended.
  await until('the feed has the last message', async () => {
    const { ids } = await run.readFeed()
    return ids.length >= expected.length
  })
  const feed = await run.readFeed()
  t.strictSame(feed.ids.toSorted(), expected, 'the feed has every message with a 200 once')
  const after = await run.readFeed(next)
  t.strictSame([...ids, ...after.ids].sort(), expected, 'a cursor from before the backup is valid')
  const verified = await run.shell('npx lyftr-webhook verify')
  t.equal(countVerified(verified), expected.length, 'verify finds no differences')
}
