import { Command, Option } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { StoreOpenError } from '../db/message-store.ts'
import type { MessageFilter } from '../message/filter.ts'
import type { BackupOptions, RestoreOptions } from './backup.ts'
import type { DevelopmentOption } from './database.ts'
import type { EraseOptions } from './erase.ts'
import type { ExportOptions } from './export.ts'
import type { ImportOptions } from './import.ts'
import type { RejectedOptions } from './rejected.ts'
import type { SendOptions } from './send-options.ts'
import type { TailOptions } from './tail.ts'
import type { VerifyOptions } from './verify.ts'

const BULK_DETAILS = `
The database is the one of DATABASE_URL; the service may run at the same time.`

const IMPORT_DETAILS = `
Each line has the fields of the webhook, and created_at if it is known when the message was stored. It passes the same
checks as a post; lines that fail them are rejected, and the first of these are reported with their line numbers on
standard error. A file whose name ends in .gz is decompressed. An import can be repeated, also after a crash: messages
that are already stored count as duplicates. The status is 1 if a line was rejected.`

const SEND_DETAILS = `
The secret is the one of the service's settings, which are read from the same environment and .env; --dev has testsecret.
One message: prints the path, the status and the body of the response, and does not retry.
Several: uses at most 16 connections. 429 and 503 with Retry-After are retried after that time, a closed connection
after 1 s, up to 5 times. At the end, or on Ctrl-C, prints the number of messages, responses by status, response times
and messages per second.
The exit status is 0 if every message got 200.`

const BACKUP_DETAILS = `
The database is the one of DATABASE_URL. The backup is checked and synced to disk before it gets its name, and only its
owner can read it. It is a database of its own: DATABASE_URL may name it. While it is written, the write-ahead log of
the database grows by what the service stores.`

const RESTORE_DETAILS = `
The database is the one of DATABASE_URL. The backup is checked first, and stays as it is.`

const ERASE_DETAILS = `
Also erases the rejected bodies that name the sender or an id. A sender that posts an erased message again gets 200, and
nothing is stored. Free space of a SQLite file is overwritten; PostgreSQL vacuums the tables. Backups, exports and
replicas keep their copies. Exits with status 1 unless the prompt is answered with yes.`

const TAIL_DETAILS = `
The token is the first one of API_TOKEN in the settings of the service, which are read from the same environment and
.env. Each line has the timestamp, the sender and the recipient, the type in brackets unless it is text, and the text
with its control characters escaped; in color on a terminal, unless NO_COLOR is set.
When the service restarts or cannot be reached, the command reconnects and continues after the last message. It ends on
Ctrl-C. The exit status is 1 if the service rejects the request, such as for a wrong token.`

/** Prints an error of the arguments on one line, in the format of all other errors. */
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

// Each command is imported when it runs, so that only its own libraries are loaded.

command('serve', 'Runs the service until SIGTERM.').action(async (options: DevelopmentOption) => {
  const { run } = await import('./serve.ts')
  await run(options)
})

command('import', 'Stores the messages of a file, one JSON object a line.')
  .argument('<file>', 'the file, or - for standard input')
  .option('--rejected <list>', 'file for the number and reason of every rejected line')
  .addHelpText('after', `${IMPORT_DETAILS}\n${BULK_DETAILS}`)
  .action(async (file: string, options: ImportOptions) => {
    const { run } = await import('./import.ts')
    process.exitCode = await run(file, options)
  })

const FILTERS = {
  from: ['--from <msisdn>', 'the sender, exactly'],
  to: ['--to <msisdn>', 'the recipient, exactly'],
  source: ['--source <name>', 'the source that received them, such as webhook'],
  type: ['--type <type>', 'the kind of message, such as text'],
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
    `${BULK_DETAILS}\nThe output is a snapshot: messages stored after the start are not included.`,
  )
  .action(async (options: ExportOptions) => {
    const { run } = await import('./export.ts')
    await run(options)
  })

command('verify', 'Compares counters and indexes with a recount of the messages.')
  .option('--repair', 'rebuild them if they differ, and compare again')
  .addHelpText(
    'after',
    `${BULK_DETAILS}\nPrints each kind of difference with its count. The status is 1 if differences remain.`,
  )
  .action(async (options: VerifyOptions) => {
    const { run } = await import('./verify.ts')
    process.exitCode = await run(options)
  })

command('backup', 'Writes a snapshot of a SQLite database to a file, also while the service runs.')
  .argument('<file>', 'the file; replaced when the backup is complete')
  .option('--verify', 'compare counters and indexes of the backup with a recount, as verify does')
  .addHelpText('after', BACKUP_DETAILS)
  .action(async (file: string, options: BackupOptions) => {
    const { runBackup } = await import('./backup.ts')
    process.exitCode = await runBackup(file, options)
  })

command('restore', 'Replaces a SQLite database with a backup. The service must be stopped.')
  .argument('<file>', 'the backup')
  .option('--force', 'also if the database is corrupt or has messages that the backup lacks')
  .addHelpText('after', RESTORE_DETAILS)
  .action(async (file: string, options: RestoreOptions) => {
    const { runRestore } = await import('./backup.ts')
    await runRestore(file, options)
  })

command('erase', 'Removes messages so that they are never stored again.')
  .option('--from <msisdn>', 'all messages of this sender, exactly')
  .option('--id <id...>', 'the messages with these ids')
  .option('--dry-run', 'print what would be erased, and change nothing')
  .option('--yes', 'do not ask')
  .addHelpText('after', `${ERASE_DETAILS}\n${BULK_DETAILS}`)
  .action(async (options: EraseOptions) => {
    const { run } = await import('./erase.ts')
    process.exitCode = await run(options)
  })

command('send', 'Sends signed test messages to a running service.')
  .option('--source <name>', 'the source whose format and secret are used (default: webhook)')
  .option(
    '--url <origin>',
    'the service (default: http://localhost and PORT, or HOST if it is set)',
  )
  .option('--count <n>', 'number of messages, 1 to 10000000 (default: 1)')
  .option('--rate <per second>', 'messages per second, 0.1 to 100000 (default: no limit)')
  .option('--from <msisdn>', 'the sender')
  .option('--to <msisdn>', 'the recipient')
  .option('--text <text>', 'the text')
  .option('--id <id>', 'the id, or with --count what the ids begin with (default: random)')
  .addHelpText('after', SEND_DETAILS)
  .action(async (options: SendOptions) => {
    const { run } = await import('./send.ts')
    // Not exitCode: after Ctrl-C, requests are still in flight.
    process.exit(await run(options))
  })

const tailing = command('tail', 'Prints messages as a running service stores them.').option(
  '--url <origin>',
  'the service (default: http://localhost and PORT, or HOST if it is set)',
)
for (const name of ['from', 'to', 'source', 'type', 'q'] as const) tailing.option(...FILTERS[name])
tailing
  .option('--cursor <cursor>', 'begin after this cursor of the feed (default: now)')
  .addOption(new Option('--all', 'begin with the first message').conflicts('cursor'))
  .option('--json', 'print each message as the JSON of the service')
  .addHelpText('after', TAIL_DETAILS)
  .action(async (options: TailOptions) => {
    const { run } = await import('./tail.ts')
    await run(options)
  })

const REJECTED_DETAILS = `${BULK_DETAILS}
Each line has the id, time of arrival, source, status, size in bytes and problems of a body. With --id the bodies
themselves are printed. With --replay each body is checked again, oldest first, without its signature, which was valid
when it arrived; its source must be configured. The messages of those that are accepted are stored, and the bodies
deleted, unless a message conflicts with a stored one. The status is 1 if bodies remain.`

command('rejected', 'Lists the signed bodies that were rejected, newest first.')
  .option('--id <id...>', 'only the bodies with these ids')
  .option('--replay', 'check them again, and store their messages')
  .addHelpText('after', REJECTED_DETAILS)
  .action(async (options: RejectedOptions) => {
    const { run } = await import('./rejected.ts')
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
