import packageJson from '../../package.json' with { type: 'json' }

/** A command of the command line. */
interface Command {
  /** Its arguments, after its name. */
  usage: string
  /** What it does, in half a line. */
  summary: string
  /** Everything else there is to know to use it. */
  details: string
  /** @returns the exit status, unless the process goes on. */
  run(args: string[]): Promise<number>
}

/** Loaded when they are needed: a command waits for no other's libraries. */
const COMMANDS: Record<string, () => Promise<Command>> = {
  serve: () => import('./serve.ts'),
  import: () => import('./import.ts'),
  export: () => import('./export.ts'),
  verify: () => import('./verify.ts'),
}

async function help(): Promise<string> {
  const rows: [string, string][] = []
  for (const [name, load] of Object.entries(COMMANDS)) {
    const { usage, summary } = await load()
    rows.push([`${name} ${usage}`, summary])
  }
  return `lyftr-webhook ${packageJson.version}

usage: lyftr-webhook [command]

${rows.map(([usage, summary]) => `  ${usage}\n      ${summary}`).join('\n')}

Without a command it serves. Each tells more with --help. Settings come from the environment and from .env; the README
lists them.
`
}

async function main([name = 'serve', ...args]: string[]): Promise<number> {
  if (name === '--help' || name === '-h') {
    process.stdout.write(await help())
    return 0
  }
  if (name === '--version') {
    process.stdout.write(`${packageJson.version}\n`)
    return 0
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!load) throw new Error(`no command ${name}; see lyftr-webhook --help`)
  const { usage, summary, details, run } = await load()
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`usage: lyftr-webhook ${name} ${usage}\n\n${summary}\n\n${details}\n`)
    return 0
  }
  return run(args)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const [line] = (error instanceof Error ? error.message : String(error)).split('\n')
  process.stderr.write(`lyftr-webhook: ${line}\n`)
  process.exit(1)
}
