import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import t, { type Test } from 'tap'
import { ALL_SETTINGS } from '../../src/config.ts'
import { SHIPPED_OPTIONS } from '../../tools/shipped-options.ts'
import { folderOf, sign, wire } from '../service.ts'

const FOLDER = new URL('../../deploy/systemd/', import.meta.url)
const ENTRY = new URL('../../bin/lyftr-webhook.js', import.meta.url).pathname
const UNIT = readFileSync(new URL('lyftr-webhook.service', FOLDER), 'utf8')

/** Maximum exposure by `systemd-analyze security`, in tenths of its scale from 0 to 10. */
const MAX_EXPOSURE = 20

const isMissing = (program: string) => spawnSync(program, ['--version']).error !== undefined
const skip = isMissing('systemd-analyze') && 'systemd-analyze is not installed'
const skipTrace = skip || (isMissing('strace') && 'strace is not installed')

/** Returns the values of all lines of the unit that set this directive. */
function linesOf(directive: string): string[] {
  return [...UNIT.matchAll(new RegExp(`^${directive}=(.*)$`, 'gm'))].map(([, value = '']) => value)
}

/** Returns the words of all lines of the unit that set this directive. */
function wordsOf(directive: string): string[] {
  return linesOf(directive).flatMap((line) => line.split(' ').filter((word) => word !== ''))
}

/** Returns the environment of the unit, with folders of the test in place of those of systemd. */
function environmentOf(folder = ''): Record<string, string> {
  const folders: Record<string, string> = {
    '%S': `${folder}/state`,
    '%C': `${folder}/cache`,
    '%d': `${folder}/credentials`,
  }
  const entries = wordsOf('Environment').map((word) => {
    const value = word.replace(/%[SCd]/g, (specifier) => folders[specifier] ?? '')
    return value.split(/=(.*)/s).slice(0, 2)
  })
  return Object.fromEntries(entries)
}

/** Runs a command of systemd-analyze. @returns its status and its output. */
function analyze(...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
  return { status, output: stdout + stderr }
}

t.test('systemd accepts the unit', { skip }, async (t) => {
  const file = `${t.testdir()}/lyftr-webhook.service`
  // `verify` requires that the programs exist.
  writeFileSync(file, UNIT.replace('/usr/bin/node', process.execPath))
  t.strictSame(analyze('verify', '--man=no', file), { status: 0, output: '' })
})

t.test('systemd accepts the declaration of the user', { skip }, async (t) => {
  const file = new URL('lyftr-webhook.sysusers', FOLDER).pathname
  // Without a root of its own, it would print nothing where the user exists.
  const args = [`--root=${t.testdir()}`, '--dry-run', file]
  const { status, stdout, stderr } = spawnSync('systemd-sysusers', args, { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  t.match(stdout + stderr, `Creating user '${wordsOf('User')}'`)
})

t.test('the exposure is at most 2 of 10', { skip }, async (t) => {
  const path = new URL('lyftr-webhook.service', FOLDER).pathname
  const { status, output } = analyze(
    ...['security', '--no-pager', '--offline=true', `--threshold=${MAX_EXPOSURE}`, path],
  )
  t.equal(status, 0, output)
})

t.test('starts the service with the options of npm start', async (t) => {
  const [program, ...args] = wordsOf('ExecStart')
  t.equal(program, '/usr/bin/node')
  t.strictSame(args, [...SHIPPED_OPTIONS, '/opt/lyftr-webhook-api/bin/lyftr-webhook.js', 'serve'])
})

t.test('every variable is a setting, and every secret a credential', async (t) => {
  const credentials = wordsOf('LoadCredential').map((word) => word.split(':')[0])
  const { NODE_ENV, MALLOC_ARENA_MAX, NODE_COMPILE_CACHE, ...settings } = environmentOf()
  t.strictSame([NODE_ENV, MALLOC_ARENA_MAX], ['production', '2'])
  for (const [name, value] of Object.entries(settings)) {
    const setting = ALL_SETTINGS.find((each) => [each.name, `${each.name}_FILE`].includes(name))
    t.ok(setting, `${name} is a setting`)
    if (name.endsWith('_FILE')) t.ok(credentials.includes(basename(value)), name)
    else t.notOk(setting?.secret && name !== 'DATABASE_URL', `${name} is not a secret`)
  }
})

t.test('systemd waits until the service has stopped', async (t) => {
  // README, Guarantees: the process exits within 10 s after SHUTDOWN_DELAY_MS.
  t.ok(
    Number(wordsOf('TimeoutStopSec')) > 10 + Number(environmentOf().SHUTDOWN_DELAY_MS ?? 0) / 1000,
  )
  t.strictSame(wordsOf('KillSignal'), ['SIGTERM'])
})

/** Returns the system calls in a set of systemd such as `@system-service`. */
function callsIn(set: string): Set<string> {
  const lines = analyze('syscall-filter', set).output.split('\n').slice(1)
  const names = lines
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  return new Set(names.flatMap((name) => (name.startsWith('@') ? [...callsIn(name)] : name)))
}

/** Returns the system calls that the filter of the unit allows. */
function allowedCalls(): Set<string> {
  const allowed = new Set<string>()
  for (const line of linesOf('SystemCallFilter')) {
    // A tilde applies to the whole line.
    const [, tilde, sets = ''] = /^(~?)(.*)$/.exec(line) ?? []
    for (const name of sets.split(' ').flatMap((set) => [...callsIn(set)])) {
      if (tilde) allowed.delete(name)
      else allowed.add(name)
    }
  }
  return allowed
}

/** Starts the service as the unit does, under strace. @returns its URL, and a function that stops it. */
async function startTraced(t: Test, trace: string, environment: Record<string, string>) {
  // With -D the process is the service, and strace its grandchild.
  const command = ['-D', '-f', '-o', trace, process.execPath, ...SHIPPED_OPTIONS, ENTRY, 'serve']
  const child = spawn('strace', command, {
    cwd: folderOf(t),
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  t.teardown(() => child.kill('SIGKILL'))
  let log = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      log += text
      const [, port] = /listening on http:\/\/\S+:(\d+)/.exec(log) ?? []
      if (port) resolve(`http://127.0.0.1:${port}`)
    })
    ended.then(() => reject(new Error(`the service ended: ${log}`)))
  })
  const stop = async () => {
    child.kill('SIGTERM')
    const [status] = await ended
    return status
  }
  return { url, stop }
}

t.test('the service needs no other system calls and sockets', { skip: skipTrace }, async (t) => {
  const folder = folderOf(t)
  const environment = environmentOf(folder)
  mkdirSync(`${folder}/credentials`)
  for (const [name, path] of Object.entries(environment)) {
    if (name.endsWith('_FILE')) writeFileSync(path, name)
  }
  const trace = `${folder}/trace`
  // On all addresses the service opens more kinds of sockets than on one.
  const { url, stop } = await startTraced(t, trace, { ...environment, HOST: '0.0.0.0', PORT: '0' })
  const body = wire({ message_id: 'm1', text: 'Hello' })
  const signature = sign(body, 'WEBHOOK_SECRET_FILE')
  const headers = { 'content-type': 'application/json', 'x-signature': signature }
  t.equal((await fetch(`${url}/webhook`, { method: 'POST', headers, body })).status, 200)
  const authorization = { authorization: 'Bearer API_TOKEN_FILE' }
  for (const path of ['/messages?q=hello', '/messages/export', '/stats', '/health/ready']) {
    t.equal((await fetch(url + path, { headers: authorization })).status, 200, path)
  }
  t.equal(await stop(), 0)

  const calls = readFileSync(trace, 'utf8')
  const allowed = allowedCalls()
  const used = new Set([...calls.matchAll(/^\d+ +(\w+)\(/gm)].map(([, name = '']) => name))
  // SQLite calls it as root only.
  used.delete('fchown')
  t.strictSame(
    [...used].filter((name) => !allowed.has(name)),
    [],
  )
  const families = new Set(
    [...calls.matchAll(/ socket(?:pair)?\((\w+)/g)].map(([, family]) => family),
  )
  t.ok(families.has('AF_NETLINK'))
  const restricted = wordsOf('RestrictAddressFamilies')
  t.strictSame(
    [...families].filter((family) => !restricted.includes(String(family))),
    [],
  )
})
