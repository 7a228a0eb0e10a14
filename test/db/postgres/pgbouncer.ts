import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Test } from 'tap'
import { freePort } from '../../../tools/free-port.ts'
import { execute } from './server.ts'

const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']

/** Path of PgBouncer; undefined if it is not installed. */
export const PGBOUNCER = folders
  .map((folder) => join(folder, 'pgbouncer'))
  .find((path) => existsSync(path))

/** Returns the user to run PgBouncer as if this process runs as root, which PgBouncer forbids. */
function account(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

/**
 * Starts PgBouncer in session mode in front of a database, until the test ends.
 * @returns the URL of the database through PgBouncer.
 */
export async function startPgBouncer(t: Test, target: string): Promise<string> {
  const { hostname, port, username, password, pathname } = new URL(target)
  const through = new URL(target)
  through.host = `127.0.0.1:${await freePort()}`
  const folder = mkdtempSync(join(tmpdir(), 'lyftr-pgbouncer-'))
  const configuration = join(folder, 'pgbouncer.ini')
  const login = password ? `password=${decodeURIComponent(password)}` : ''
  writeFileSync(
    configuration,
    `[databases]
${pathname.slice(1)} = host=${hostname} port=${port || 5432} user=${username} ${login}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${through.port}
unix_socket_dir =
auth_type = any
pool_mode = session
`,
  )
  const user = account()
  if (user) chownSync(folder, user.uid, user.gid)
  const child = spawn(PGBOUNCER ?? 'pgbouncer', ['-q', configuration], { stdio: 'ignore', ...user })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true })
  })
  while (child.exitCode === null) {
    const responds = execute(through.href, 'select').then(
      () => true,
      () => false,
    )
    if (await responds) return through.href
  }
  throw new Error(`pgbouncer exited with ${child.exitCode}`)
}
