import { Command } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { StoreOpenError } from '../db/message-store.ts'
import type { MessageFilter } from '../message/filter.ts'
import type { DevelopmentOption } from './database.ts'
import type { ExportOptions } from './export.ts'
import type { ImportOptions } from './import.ts'
import type { VerifyOptions } from './verify.ts'

const BULK_DETAILS = `

The database is the one of DATABASE_URL; the service may run at the same time.`

const IMPORT_DETAILS = `
Each line has the fields of the webhook, and created_at if it is known when the message was stored. It passes the same
checks as a post; lines that fail them are rejected, and the first of these are reported with their line numbers on
standard error. A file whose name ends in .gz is decompressed. An import can be repeated, also after a crash: messages
that are already stored count as duplicates. The status is 1 if a line was rejected.`

/** Prints an error in the arguments in one line, like all other errors. */
function writeOneLine(text: string, write: (line: string) => void): void {
  const line = text
    .trim()
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')
  write(`lyftr-webhook: ${line}\n`)
}

const program = new Command('lyftr-webhook')
  .description('Stores signed webhook messages exactly once and serves them.')
  .version(packageJson.version)
  .configureOutput({ outputError: writeOneLine })
  .addHelpText(
    'after',
    '\nThe default command is serve. Settings come from the environment and from .env; the README lists them.',
  )

/** Adds a command with the options that all commands have. */
function command(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--dev', 'development defaults: the secret testsecret and the file ./data/app.db')
}

// Commands are imported when they run, so that none loads the libraries of another.

command('serve', 'Runs the service until SIGTERM.').action(async (options: DevelopmentOption) => {
  const { run } = await import('./serve.ts')
  await run(options)
})

command('import', 'Stores the messages of a file, one JSON object a line.')
  .argument('<file>', 'the file, or - for standard input')
  .option('--rejected <list>', 'file for the number and reason of every rejected line')
  .addHelpText('after', IMPORT_DETAILS + BULK_DETAILS)
  .action(async (file: string, options: ImportOptions) => {
    const { run } = await import('./import.ts')
    process.exitCode = await run(file, options)
  })

const FILTERS = {
  from: ['--from <msisdn>', 'the sender, exactly'],
  to: ['--to <msisdn>', 'the recipient, exactly'],
  since: ['--since <ts>', 'timestamps from this one on, in RFC 3339 with Z or an offset'],
  until: ['--until <ts>', 'timestamps before this one'],
  q: ['--q <text>', 'a literal substring of the text, case-insensitive in every script'],
} satisfies Record<keyof MessageFilter, [string, string]>

const exporting = command(
  'export',
  'Writes messages to standard output in order of arrival, in the format of import.',
)
for (const [flags, description] of Object.values(FILTERS)) exporting.option(flags, description)
exporting
  .option('--gzip', 'compress')
  .addHelpText(
    'after',
    `${BULK_DETAILS.slice(1)}\nThe output is a snapshot: messages stored after the start are not included.`,
  )
  .action(async (options: ExportOptions) => {
    const { run } = await import('./export.ts')
    await run(options)
  })

command('verify', 'Compares counters and indexes with a recount of the messages.')
  .option('--repair', 'rebuild them if they differ, and compare again')
  .addHelpText(
    'after',
    `${BULK_DETAILS.slice(1)}\nPrints each kind of difference with its count. The status is 1 if differences remain.`,
  )
  .action(async (options: VerifyOptions) => {
    const { run } = await import('./verify.ts')
    process.exitCode = await run(options)
  })

/** Returns the lines to print for an error, one for each invalid setting. */
function linesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [String(error)]
  if (error instanceof StoreOpenError) return [`DATABASE_URL: ${error.message}`]
  const problems = 'problems' in error && Array.isArray(error.problems) ? error.problems : []
  return problems.length > 0 ? problems.map(String) : [error.message]
}

try {
  const args = process.argv.slice(2)
  await program.parseAsync(args.length === 0 ? ['serve'] : args, { from: 'user' })
} catch (error) {
  for (const text of linesOf(error)) process.stderr.write(`lyftr-webhook: ${text.split('\n')[0]}\n`)
  process.exit(1)
}
