import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createGzip } from 'node:zlib'
import type { Static } from '@sinclair/typebox'
import { openScan } from '../db/open.ts'
import type { MessageFilter } from '../db/store.ts'
import { type BulkLine, ExportFilter } from '../schemas/bulk.ts'
import { readFilter, type StoredMessage } from '../schemas/messages.ts'
import { problemsOf } from '../schemas/mistakes.ts'
import { ajv } from '../schemas/validator.ts'
import { existingDatabase } from './database.ts'
import { ProgressBar } from './progress.ts'

export const usage = '[--from MSISDN] [--to MSISDN] [--since TS] [--until TS] [--q TEXT] [--gzip]'
export const summary = 'Writes messages to standard output, in order of arrival: what import takes.'
export const details = `  --from    the sender, exactly
  --to      the recipient, exactly
  --since   that instant or later, in RFC 3339, with Z or an offset
  --until   before that instant
  --q       a literal substring of the text, case-insensitive in every script
  --gzip    compressed

All messages that were stored when it began and none that came later, also while the service runs.`

const TEXT = { type: 'string' } as const
const FILTER_OPTIONS = {
  from: TEXT,
  to: TEXT,
  since: TEXT,
  until: TEXT,
  q: TEXT,
} satisfies Record<keyof MessageFilter, typeof TEXT>

function parseFilter(values: Record<string, unknown>): MessageFilter {
  const isFilter = ajv.compile<Static<typeof ExportFilter>>(ExportFilter)
  if (!isFilter(values)) {
    const problems = problemsOf(isFilter.errors ?? [], 'option')
    throw new Error(problems.map(({ msg }) => `--${msg}`).join('; '))
  }
  return readFilter(values)
}

function lineOf(message: Static<typeof StoredMessage>): string {
  const { message_id, from_msisdn: from, to_msisdn: to, ts, text, created_at } = message
  return `${JSON.stringify({ message_id, from, to, ts, text, created_at } satisfies BulkLine)}\n`
}

async function* linesOf(scan: ReturnType<typeof openScan>): AsyncGenerator<string, void> {
  const bar = new ProgressBar('exporting')
  let count = 0
  try {
    for await (const messages of scan) {
      yield messages.map(lineOf).join('')
      count += messages.length
      // On a terminal that shows the messages themselves, a bar would stand among them.
      if (!process.stdout.isTTY) bar.update(count)
    }
  } finally {
    bar.end()
  }
}

/** Exports what the filters match. A reader that has seen enough is no failure. */
export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { ...FILTER_OPTIONS, gzip: { type: 'boolean' } },
  })
  const { gzip = false, ...filter } = values
  const scan = openScan(existingDatabase(), parseFilter(filter))
  const lines = Readable.from(linesOf(scan), { objectMode: false })
  try {
    if (gzip) await pipeline(lines, createGzip(), process.stdout)
    else await pipeline(lines, process.stdout)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
  }
  return 0
}
