import { createGzip } from 'node:zlib'
import type { Static } from '@sinclair/typebox'
import { openScan } from '../db/open.ts'
import type { MessageFilter } from '../message/filter.ts'
import { ExportFilter } from '../schemas/bulk.ts'
import { readFilter } from '../schemas/messages.ts'
import { toInputProblems } from '../schemas/validation-errors.ts'
import { ajv } from '../schemas/validator.ts'
import { writeAudit } from './audit.ts'
import { writeBulkLine } from './bulk-line.ts'
import { type DevelopmentOption, existingDatabase } from './database.ts'
import { writeOutput } from './output.ts'
import { ProgressBar } from './progress.ts'

/** Options of the command, with filters as given. */
export interface ExportOptions
  extends DevelopmentOption,
    Partial<Record<keyof MessageFilter, string>> {
  gzip?: boolean
}

/** Returns the filters of the options. @throws Error that names each invalid option. */
function parseFilter(values: Record<string, unknown>): MessageFilter {
  const isFilter = ajv.compile<Static<typeof ExportFilter>>(ExportFilter)
  if (!isFilter(values)) {
    const problems = toInputProblems(isFilter.errors ?? [], 'option')
    throw new Error(problems.map(({ msg }) => `--${msg}`).join('; '))
  }
  return readFilter(values)
}

async function* linesOf(scan: ReturnType<typeof openScan>): AsyncGenerator<string, void> {
  const bar = new ProgressBar('exporting', 'messages')
  let count = 0
  let isComplete = false
  try {
    for await (const messages of scan) {
      yield messages.map(writeBulkLine).join('')
      count += messages.length
      // On a terminal the bar would appear between the messages.
      if (!process.stdout.isTTY) bar.update(count)
    }
    isComplete = true
  } finally {
    bar.end()
    if (isComplete || count > 0) writeAudit('export', { messages: count })
  }
}

/** Exports the messages that match the filters; resolves if the reader closes the pipe. */
export async function run({ dev, gzip, ...filter }: ExportOptions): Promise<void> {
  const parsed = parseFilter(filter)
  const scan = openScan(existingDatabase({ dev }), parsed)
  await writeOutput(linesOf(scan), ...(gzip ? [createGzip()] : []))
}
