import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, chownSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort } from './free-port.ts'

const run = promisify(execFile)

/** Maximum time in milliseconds for the server to start, including crash recovery. */
const START_TIMEOUT_MS = 60_000

/** Unit of the processor times in `/proc`: `USER_HZ`, which is 100 on Linux. */
const TICKS_PER_SECOND = 100

/** Settings of a new cluster; `max_connections` is enough for ten instances. */
const SETTINGS = { listen_addresses: '127.0.0.1', max_connections: '200' }

/** Returns the user to run PostgreSQL as if this process runs as root, which PostgreSQL forbids. */
function account(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

/** Returns the bin directory of the newest PostgreSQL, most of which Debian keeps off the PATH. */
export function programs(): string {
  const [newest] = globSync('/usr/lib/postgresql/*/bin/initdb')
    .map((path) => dirname(path))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
  return newest ?? execFileSync('pg_config', ['--bindir'], { encoding: 'utf8' }).trim()
}

/** Returns `/proc/<pid>/stat`; an empty string if the process has ended. */
function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return ''
  }
}

/**
 * A private PostgreSQL server in a temporary folder.
 * It listens on a free port of 127.0.0.1; the user is postgres, without a password. `fsync` is on. Stopping or killing
 * the server affects no other server.
 */
export class Cluster {
  readonly port: number
  readonly #programs = programs()
  readonly #folder: string
  readonly #account = account()
  readonly #removeAtExit = (): void => this.#remove()

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.port = port
    if (this.#account) chownSync(folder, this.#account.uid, this.#account.gid)
    process.once('exit', this.#removeAtExit)
  }

  /**
   * Creates and starts a server.
   * @param settings settings of postgresql.conf that override the defaults.
   * @param under the parent of its folder, readable by the account that the server runs as.
   */
  static async start(settings: Record<string, string> = {}, under = tmpdir()): Promise<Cluster> {
    const cluster = new Cluster(mkdtempSync(join(under, 'lyftr-postgres-')), await freePort())
    await cluster.#run('initdb', [
      ...['--username', 'postgres', '--auth', 'trust', '--no-instructions'],
      ...['--encoding', 'UTF8', '--locale', 'C', '--pgdata', cluster.#data],
    ])
    const all = {
      ...SETTINGS,
      ...settings,
      port: String(cluster.port),
      unix_socket_directories: cluster.#folder,
    }
    const lines = Object.entries(all).map(([name, value]) => `${name} = '${value}'\n`)
    appendFileSync(join(cluster.#data, 'postgresql.conf'), lines.join(''))
    await cluster.startAgain()
    return cluster
  }

  get #data(): string {
    return join(this.#folder, 'data')
  }

  #run(program: string, args: string[]): Promise<{ stdout: string }> {
    return run(join(this.#programs, program), args, { cwd: this.#folder, ...this.#account })
  }

  /** Returns the DATABASE_URL of a database of this server. */
  url(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`
  }

  /** Creates a database and returns its URL. */
  async createDatabase(name: string): Promise<string> {
    await this.query('postgres', `create database ${name}`)
    return this.url(name)
  }

  /** Runs a statement on a new connection and returns its rows. */
  async query<Row extends pg.QueryResultRow>(
    database: string,
    text: string,
    values: unknown[] = [],
  ): Promise<Row[]> {
    const client = new pg.Client(this.url(database))
    await client.connect()
    try {
      return (await client.query<Row>(text, values)).rows
    } finally {
      await client.end()
    }
  }

  /**
   * Stops the server and waits until it has stopped.
   * `fast` rolls back transactions and writes a checkpoint; `immediate` skips both, so that the next start runs crash
   * recovery.
   */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    await this.#run('pg_ctl', ['stop', '--wait', '--mode', mode, '--pgdata', this.#data])
  }

  /** Kills the server with SIGKILL. */
  kill(): void {
    process.kill(this.#pid, 'SIGKILL')
  }

  /** Suspends every process, as on a machine that hangs: connections stay open and nothing responds. */
  freeze(): void {
    for (const pid of this.#processes) process.kill(pid, 'SIGSTOP')
  }

  /** Resumes every process. */
  thaw(): void {
    for (const pid of this.#processes) process.kill(pid, 'SIGCONT')
  }

  /** Returns the seconds of processor time used by its running processes and by reaped children. */
  cpuSeconds(): number {
    const ticks = this.#processes.map((pid) => {
      // The fields that follow the name in parentheses: the process's own times, then those of reaped children.
      const fields = statOf(pid).split(') ')[1]?.split(' ') ?? []
      const times = pid === this.#pid ? fields.slice(11, 15) : fields.slice(11, 13)
      return times.reduce((sum, time) => sum + Number(time), 0)
    })
    return ticks.reduce((a, b) => a + b) / TICKS_PER_SECOND
  }

  get #pid(): number {
    return Number(readFileSync(join(this.#data, 'postmaster.pid'), 'utf8').split('\n')[0])
  }

  /** Process ids of the postmaster and its children. */
  get #processes(): number[] {
    const children = readFileSync(`/proc/${this.#pid}/task/${this.#pid}/children`, 'utf8')
    return [this.#pid, ...children.trim().split(' ').filter(Boolean).map(Number)]
  }

  /**
   * Starts the server after a stop or a kill.
   * Retries, because processes of a killed server may still hold its resources.
   */
  async startAgain(): Promise<void> {
    const log = join(this.#folder, 'log')
    const deadline = Date.now() + START_TIMEOUT_MS
    for (;;) {
      try {
        await this.#run('pg_ctl', ['start', '--wait', '--pgdata', this.#data, '--log', log])
        return
      } catch (error) {
        if (Date.now() > deadline) throw error
        await delay(100)
      }
    }
  }

  /** Stops the server and deletes its folder. */
  remove(): void {
    process.off('exit', this.#removeAtExit)
    this.#remove()
  }

  #remove(): void {
    const stop = ['stop', '--mode', 'immediate', '--pgdata', this.#data]
    const options = { cwd: this.#folder, stdio: 'ignore', ...this.#account } as const
    spawnSync(join(this.#programs, 'pg_ctl'), stop, options)
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
