import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { median } from './figures.ts'
import type { LoadReport } from './load.ts'
import type { LoadProcess } from './load-process.ts'
import { type ServerProcess, startServer, startService } from './process.ts'
import { postgresRecords, type Records, sqliteRecords } from './records.ts'

/** Returns the path of a candidate's program. */
function program(name: string): string {
  return new URL(`./candidates/${name}`, import.meta.url).pathname
}

/** Python with FastAPI and uvicorn, as Debian packages them; undefined if they are not installed. */
function findPython(): string | undefined {
  const path = '/usr/bin/python3'
  return spawnSync(path, ['-c', 'import fastapi, uvicorn']).status === 0 ? path : undefined
}

/** The results of one round of load. */
export interface Round {
  rate: number
  p50Ms: number
  p99Ms: number
  maxMs: number
  /** Cores used, summed over all servers. */
  serverCpu: number
  loadCpu: number
  /** Cores used by the database server; undefined if there is none or its usage is unknown. */
  databaseCpu?: number | undefined
}

/** Options of a candidate that stores messages. */
export interface Stored {
  records: Records
  /** Rows before the load; default 0. */
  initialRows?: number
  /** URL that receives the load instead of the servers, such as that of a load balancer. */
  entry?: string | undefined
  /** Returns the processor time in seconds that the database server has used so far. */
  databaseCpuSeconds?: () => number | undefined
}

/** The results of a candidate over all rounds: medians, peaks and totals. */
export interface Summary {
  name: string
  title: string
  rounds: Round[]
  rate: number
  p50Ms: number
  p99Ms: number
  /** Maximum over the servers. */
  peakMemoryMiB: number | undefined
  /** Number of 200s, those of warm-ups included. */
  acknowledged: number
  /** Number of messages with a status other than 200, those of warm-ups included. */
  rejected: number
}

/** Requests to prepare, relative to the rate of the previous round. */
const HEADROOM = 1.2
const FIRST_RATE = 20_000

/** Servers under test, with the results of their rounds. */
export class Candidate {
  readonly name: string
  readonly title: string
  readonly #servers: readonly ServerProcess[]
  /** Undefined if the servers store nothing. */
  readonly #stored: Stored | undefined
  readonly #reports: { prefix: string; report: LoadReport }[] = []
  readonly #rounds: Round[] = []
  #rate = FIRST_RATE

  constructor(name: string, title: string, servers: readonly ServerProcess[], stored?: Stored) {
    this.name = name
    this.title = title
    this.#servers = servers
    this.#stored = stored
  }

  /** Starts the bare Fastify server, which is the upper bound of the rate. */
  static async floor(folder: string): Promise<Candidate> {
    const server = await startServer('floor', [program('floor.ts')], {}, join(folder, 'floor.log'))
    return new Candidate('floor', 'bare Fastify: signature and JSON', [server])
  }

  /** Discards the rates and latencies of the rounds so far, so that the summary covers later ones only. */
  reset(): void {
    this.#rounds.length = 0
  }

  /** The URL of the first server. */
  get url(): string {
    return this.#servers[0]?.url ?? ''
  }

  /** Starts the service with its production options, on the SQLite file of its name in the folder. */
  static async service(
    folder: string,
    name: string,
    title: string,
    settings: Record<string, string> = {},
    initialRows = 0,
  ): Promise<Candidate> {
    const path = join(folder, `${name}.db`)
    const log = join(folder, `${name}.log`)
    const server = await startService(name, `sqlite:///${path}`, log, settings)
    return new Candidate(name, title, [server], { records: sqliteRecords(path), initialRows })
  }

  /** Starts the usual first design on better-sqlite3: one commit per request, on the event loop. */
  static async plainSqlite(folder: string): Promise<Candidate> {
    const path = join(folder, 'plain-sqlite.db')
    const server = await startServer(
      'plain-sqlite',
      [program('plain-sqlite.ts')],
      { DATABASE_PATH: path },
      join(folder, 'plain-sqlite.log'),
    )
    const title = 'Fastify and better-sqlite3, one commit a request (synchronous=FULL)'
    return new Candidate('plain-sqlite', title, [server], { records: sqliteRecords(path) })
  }

  /** Starts the usual first design on pg: one insert per request over 10 connections. */
  static async plainPostgres(folder: string, url: string): Promise<Candidate> {
    const server = await startServer(
      'plain-postgres',
      [program('plain-postgres.ts')],
      { DATABASE_URL: url },
      join(folder, 'plain-postgres.log'),
    )
    const title = 'Fastify and pg, one insert a request (synchronous_commit=on)'
    return new Candidate('plain-postgres', title, [server], { records: postgresRecords(url) })
  }

  /** Starts the legacy Python service's design; undefined without FastAPI and uvicorn. */
  static async legacy(folder: string): Promise<Candidate | undefined> {
    const python = findPython()
    if (!python) return undefined
    const path = join(folder, 'legacy.db')
    const server = await startServer(
      'legacy',
      [program('legacy.py')],
      { DATABASE_PATH: path },
      join(folder, 'legacy.log'),
      python,
    )
    const title = 'FastAPI and uvicorn, one commit a request (synchronous=FULL)'
    return new Candidate('legacy', title, [server], { records: sqliteRecords(path) })
  }

  /** Runs one round. @param counts false for a warm-up, whose rate and latencies the summary ignores. */
  async round(
    load: LoadProcess,
    {
      connections,
      seconds,
      counts,
      onStarted,
    }: { connections: number; seconds: number; counts: boolean; onStarted?: () => void },
  ): Promise<Round> {
    const prefix = `${this.name}-${this.#reports.length}-`
    const entry = this.#stored?.entry
    const databaseBefore = this.#stored?.databaseCpuSeconds?.()
    const cpuBefore = this.#cpuSeconds()
    const job = {
      urls: entry === undefined ? this.#servers.map(({ url }) => url) : [entry],
      connections,
      seconds,
      prefix,
      prepare: Math.round(this.#rate * seconds * HEADROOM),
    }
    const report = await load.run(job, onStarted)
    this.#reports.push({ prefix, report })
    this.#rate = report.sent / report.seconds
    const databaseAfter = this.#stored?.databaseCpuSeconds?.()
    const round = {
      rate: report.acknowledged / report.seconds,
      p50Ms: report.p50Ms,
      p99Ms: report.p99Ms,
      maxMs: report.maxMs,
      serverCpu: (this.#cpuSeconds() - cpuBefore) / report.seconds,
      loadCpu: report.cpu,
      databaseCpu:
        databaseBefore === undefined || databaseAfter === undefined
          ? undefined
          : (databaseAfter - databaseBefore) / report.seconds,
    }
    if (counts) this.#rounds.push(round)
    return round
  }

  /** Summarises the rounds so far. */
  summary(): Summary {
    const rounds = this.#rounds
    return {
      name: this.name,
      title: this.title,
      rounds,
      rate: median(rounds.map(({ rate }) => rate)),
      p50Ms: median(rounds.map(({ p50Ms }) => p50Ms)),
      p99Ms: median(rounds.map(({ p99Ms }) => p99Ms)),
      peakMemoryMiB: this.#most((server) => server.peakMemoryMiB()),
      acknowledged: this.#sum(({ acknowledged }) => acknowledged),
      rejected: this.#sum(({ rejected }) => rejected.length),
    }
  }

  #sum(of: (report: LoadReport) => number): number {
    return this.#reports.reduce((sum, { report }) => sum + of(report), 0)
  }

  #cpuSeconds(): number {
    return this.#servers.reduce((sum, server) => sum + (server.cpuSeconds() ?? Number.NaN), 0)
  }

  #most(of: (server: ServerProcess) => number | undefined): number | undefined {
    const values = this.#servers.map(of).filter((value) => value !== undefined)
    return values.length === 0 ? undefined : Math.max(...values)
  }

  /** Stops the servers. @returns errors in what they stored: each 200 must be exactly one row. */
  async stopAndCheck(): Promise<string[]> {
    const records = this.#stored?.records
    const reported = records ? await this.#totals() : []
    await Promise.all(this.#servers.map((server) => server.stop()))
    if (!records) return []

    const stored = await records.count()
    const rows = stored - (this.#stored?.initialRows ?? 0)
    let missing = 0
    for (const { prefix, report } of this.#reports) {
      const rejected = new Set(report.rejected.map(({ number }) => number))
      const numbers = Array.from({ length: report.sent }, (_, number) => number)
      missing += await records.missing(
        prefix,
        numbers.filter((number) => !rejected.has(number)),
      )
    }
    const { acknowledged, rejected } = this.summary()
    const wrong: string[] = []
    if (missing > 0)
      wrong.push(`${this.name}: ${missing} messages were answered 200 but are not stored`)
    for (const total of reported) {
      if (total !== stored)
        wrong.push(`${this.name}: /stats reports ${total} messages, the database has ${stored}`)
    }
    if (rows < acknowledged || rows > acknowledged + rejected) {
      wrong.push(
        `${this.name}: ${acknowledged} messages were answered 200, the database has ${rows} new ones`,
      )
    }
    return wrong
  }

  /** Returns the number of messages that each server reports. */
  #totals(): Promise<number[]> {
    return Promise.all(
      this.#servers.map(async ({ url }) => {
        const response = await fetch(`${url}/stats`)
        const { total_messages: total } = (await response.json()) as { total_messages: number }
        return total
      }),
    )
  }
}
