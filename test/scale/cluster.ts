import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, chownSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort } from './free-port.ts'

const run = promisify(execFile)

/** How long a database may take to come back, its recovery included, in milliseconds. */
const START_WITHIN_MS = 60_000

/** In which Linux tells processor time. */
const TICKS_PER_SECOND = 100

/** As it is installed, but for connections enough for ten instances. */
const SETTINGS = { listen_addresses: '127.0.0.1', max_connections: '200' }

/** PostgreSQL refuses to run as root: then it runs as the user that its packages make. */
function account(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

/** Where the newest PostgreSQL's programs are: Debian keeps most off the PATH. */
export function programs(): string {
  const [newest] = globSync('/usr/lib/postgresql/*/bin/initdb')
    .map((path) => dirname(path))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
  return newest ?? execFileSync('pg_config', ['--bindir'], { encoding: 'utf8' }).trim()
}

/** What Linux says of a process; nothing of one that has just ended. */
function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return ''
  }
}

/**
 * A PostgreSQL of its own in a temporary folder, on a free port of 127.0.0.1, user postgres, without a password. What
 * it promises to have on disk is on disk; it may be stopped and killed without touching any other.
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
   * Makes and starts one in a new folder under the one given, which whoever it runs as must reach.
   * @param settings of postgresql.conf, beside the defaults.
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

  /** What DATABASE_URL is for a database of it. */
  url(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`
  }

  /** Makes a database and returns its URL. */
  async createDatabase(name: string): Promise<string> {
    await this.query('postgres', `create database ${name}`)
    return this.url(name)
  }

  /** The rows that plain SQL makes on a connection of its own. */
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

  /** Stops it: `fast` ends what is under way and writes everything out, `immediate` leaves that to the recovery. */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    await this.#run('pg_ctl', ['stop', '--wait', '--mode', mode, '--pgdata', this.#data])
  }

  /** Ends it without a word to anybody. */
  kill(): void {
    process.kill(this.#pid, 'SIGKILL')
  }

  /** Holds it where it is, as a machine that hangs does: connections stay open, and nothing answers. */
  freeze(): void {
    for (const pid of this.#processes) process.kill(pid, 'SIGSTOP')
  }

  /** Lets it go on. */
  thaw(): void {
    for (const pid of this.#processes) process.kill(pid, 'SIGCONT')
  }

  /** Seconds of processor time that its processes have used so far, of those that are there or were waited for. */
  cpuSeconds(): number {
    const ticks = this.#processes.map((pid) => {
      // After the name, which may hold anything, in parentheses: its own time, and that of children that ended.
      const fields = statOf(pid).split(') ')[1]?.split(' ') ?? []
      const times = pid === this.#pid ? fields.slice(11, 15) : fields.slice(11, 13)
      return times.reduce((sum, time) => sum + Number(time), 0)
    })
    return ticks.reduce((a, b) => a + b) / TICKS_PER_SECOND
  }

  get #pid(): number {
    return Number(readFileSync(join(this.#data, 'postmaster.pid'), 'utf8').split('\n')[0])
  }

  /** The server and what it forked. */
  get #processes(): number[] {
    const children = readFileSync(`/proc/${this.#pid}/task/${this.#pid}/children`, 'utf8')
    return [this.#pid, ...children.trim().split(' ').filter(Boolean).map(Number)]
  }

  /** Starts it after a stop, as often as it takes: what a killed one leaves behind may linger. */
  async startAgain(): Promise<void> {
    const log = join(this.#folder, 'log')
    const deadline = Date.now() + START_WITHIN_MS
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

  /** Ends it and removes everything it kept. */
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
