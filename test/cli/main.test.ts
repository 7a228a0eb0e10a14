import { writeFileSync } from 'node:fs'
import t from 'tap'
import { folderOf, runEntry, wire } from '../service.ts'

const COMMANDS = [
  'serve',
  'import',
  'export',
  'verify',
  'backup',
  'restore',
  'erase',
  'send',
  'tail',
]

t.test('prints the usage of the program and of each command', async (t) => {
  for (const args of [['--help'], ['-h'], ['help']]) {
    const { status, stdout } = await runEntry(t, args)
    t.equal(status, 0)
    t.match(stdout, /^Usage: lyftr-webhook/)
    for (const command of COMMANDS) t.match(stdout, new RegExp(`^  ${command} `, 'm'))
  }
  for (const command of COMMANDS) {
    for (const args of [
      [command, '--help'],
      ['help', command],
    ]) {
      const { status, stdout } = await runEntry(t, args)
      t.equal(status, 0)
      t.match(stdout, `Usage: lyftr-webhook ${command} `)
      t.match(stdout, '--dev')
    }
  }
  t.match(await runEntry(t, ['--version']), { status: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
})

t.test('--version and --help load no library of a command', async (t) => {
  // An error in the hook ends the process.
  const hook = `${folderOf(t)}/only-commander.mjs`
  writeFileSync(
    hook,
    `import { registerHooks } from 'node:module'
     registerHooks({ resolve(specifier, context, next) {
       if (/^(fastify|better-sqlite3|kysely|pg|pino|@sinclair\\/typebox|cli-progress|eventsource-parser)(\\/|$)/.test(specifier)) throw new Error(specifier)
       return next(specifier, context)
     } })`,
  )
  for (const args of [['--version'], ['--help'], ['help', 'import']]) {
    const { status, stderr } = await runEntry(t, args, { NODE_OPTIONS: `--import ${hook}` })
    t.equal(status, 0, stderr)
  }
})

t.test('every command accepts --dev and prints its database', async (t) => {
  const folder = folderOf(t)
  const body = wire({ message_id: 'a' })
  const database = `database: ${folder}/data/app.db\n`
  t.match(await runEntry(t, ['import', '--dev', '-'], {}, body), {
    status: 0,
    stdout: 'created 1, duplicate 0, rejected 0\n',
    stderr: database,
  })
  t.match(await runEntry(t, ['export', '--dev']), { status: 0, stdout: /"a"/, stderr: database })
  t.match(await runEntry(t, ['verify', '--dev']), { status: 0, stderr: database })
  t.match(await runEntry(t, ['verify']), {
    status: 1,
    stderr: /^database: \/data\/app.db\nlyftr-webhook: DATABASE_URL: there is no file/,
  })
  t.match(await runEntry(t, ['verify', '--dev'], { DATABASE_URL: 'sqlite:///other.db' }), {
    status: 1,
    stderr: `database: ${folder}/other.db\n`,
  })
  const url = 'postgres://me:hidden@127.0.0.1:1/messages?password=hidden'
  const { stderr } = await runEntry(t, ['verify'], { DATABASE_URL: url })
  t.match(stderr, /^database: postgres:\/\/me@127.0.0.1:1\/messages\nlyftr-webhook: /)
  t.notMatch(stderr, /hidden/)
})

t.test('every command names DATABASE_URL when it cannot open the database', async (t) => {
  writeFileSync(`${folderOf(t)}/text.db`, 'no database '.repeat(100))
  for (const [url, reason] of [
    ['postgres://user:hidden@127.0.0.1:1/db?max=abc', 'expected a whole number for max, found abc'],
    ['sqlite:///text.db', 'cannot (open|read) "text.db": .*not a (SQLite )?database.*'],
  ] as const) {
    for (const args of [['import', '-'], ['export'], ['verify'], ['verify', '--repair']]) {
      const { status, stderr } = await runEntry(t, args, { DATABASE_URL: url })
      t.equal(status, 1)
      t.match(
        stderr,
        new RegExp(`^database: [^\\n]+\\nlyftr-webhook: DATABASE_URL: ${reason}\\n$`),
        args.join(' '),
      )
    }
  }
})

t.test('reports all bad settings at once, one line each', async (t) => {
  const { status, stderr } = await runEntry(t, [], {
    PORT: 'x',
    LOG_LEVEL: 'loud',
    TRUST_PROXY: 'maybe',
    WEBHOOK_SECRET_FILE: 'missing',
    WEBHOOK_SECRET_PREVIOUS: 'older',
  })
  t.equal(status, 1)
  const lines = stderr.trimEnd().split('\n')
  const names = lines.map((line) => /^lyftr-webhook: ([A-Z_]+): /.exec(line)?.[1])
  t.strictSame(names, ['WEBHOOK_SECRET_FILE', 'TRUST_PROXY', 'LOG_LEVEL', 'PORT'])
})

t.test('rejects unknown commands, options and arguments with one line', async (t) => {
  for (const args of [['fly'], ['toString'], ['serve', '--loud'], ['serve', 'twice']]) {
    const { status, stderr } = await runEntry(t, args)
    t.equal(status, 1)
    t.match(stderr, /^lyftr-webhook: [^\n]+\n$/)
  }
})

t.test('prints one line and exits with 1 on an unsupported version of Node.js', async (t) => {
  const old = `${folderOf(t)}/old-node.cjs`
  writeFileSync(
    old,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })`,
  )
  const { status, stdout, stderr } = await runEntry(t, [], { NODE_OPTIONS: `--require ${old}` })
  t.equal(status, 1)
  t.equal(stdout, '')
  t.match(
    stderr,
    /^lyftr-webhook: Node.js 22.19, 24, or 26 and later is required, found 20.20.2[^\n]*\n$/,
  )
})
