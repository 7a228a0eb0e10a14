import packageJson from '../../package.json' with { type: 'json' }
import * as serve from './serve.ts'

const COMMANDS: Record<string, { usage: string; run(args: string[]): Promise<void> }> = { serve }

const HELP = `lyftr-webhook ${packageJson.version}

usage: lyftr-webhook [command]

  ${Object.values(COMMANDS)
    .map(({ usage }) => usage)
    .join('\n  ')}

Without a command it serves. Settings come from the environment and from .env; the README lists them.
`

const [name = 'serve', ...args] = process.argv.slice(2)
if (name === '--help' || name === '-h' || args.includes('--help')) {
  process.stdout.write(HELP)
} else if (name === '--version') {
  process.stdout.write(`${packageJson.version}\n`)
} else {
  try {
    const command = COMMANDS[name]
    if (!command) throw new Error(`no command ${name}; see lyftr-webhook --help`)
    await command.run(args)
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split('\n')
    process.stderr.write(`lyftr-webhook: ${line}\n`)
    process.exit(1)
  }
}
