import { join } from 'node:path'
import { median } from './figures.ts'
import type { LoadReport } from './load.ts'
import type { LoadProcess } from './load-process.ts'
import { type ServerProcess, startServer, startService } from './process.ts'
import { type Records, sqliteRecords } from './records.ts'

const FLOOR = [new URL('./floor.ts', import.meta.url).pathname]

/** A round of load and what it took of the server. */
export interface Round {
  rate: number
  p50Ms: number
  p99Ms: number
  /** Cores; of several servers the sum. */
  serverCpu: number
  loadCpu: number
  /** What the database's own processes took; undefined where there are none, or nothing tells. */
  databaseCpu?: number | undefined
}

/** What else there is to servers that store messages. */
export interface Stored {
  records: Records
  /** Where the load goes, if not to the servers themselves. */
  entry?: string | undefined
  /** Seconds of processor time that the database's own processes have used so far. */
  databaseCpuSeconds?: () => number | undefined
}

/** What one candidate did in the whole run. */
export interface Standing {
  name: string
  title: string
  rounds: Round[]
  rate: number
  p50Ms: number
  p99Ms: number
  /** Of the server that held most. */
  peakMemoryMiB: number | undefined
  acknowledged: number
  /** Answered anything but 200. */
  refused: number
}

/** Requests are prepared for this much more than the rate of the round before. */
const HEADROOM = 1.2
const FIRST_RATE = 20_000

/** Servers under load, and everything they acknowledged. */
export class Candidate {
  readonly name: string
  readonly title: string
  readonly #servers: readonly ServerProcess[]
  /** Undefined where nothing is stored. */
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

  /** The bare server. */
  static async floor(folder: string): Promise<Candidate> {
    const server = await startServer('floor', FLOOR, {}, join(folder, 'floor.log'))
    return new Candidate('floor', 'bare Fastify: signature and JSON', [server])
  }

  /** The service as it ships, with an empty file in the folder. */
  static async service(
    folder: string,
    name: string,
    title: string,
    settings: Record<string, string> = {},
  ): Promise<Candidate> {
    const path = join(folder, `${name}.db`)
    const log = join(folder, `${name}.log`)
    const server = await startService(name, `sqlite:///${path}`, log, settings)
    return new Candidate(name, title, [server], { records: sqliteRecords(path) })
  }

  /** One round; what it measures counts unless it is a warm-up. */
  async round(
    load: LoadProcess,
    { connections, seconds, counts }: { connections: number; seconds: number; counts: boolean },
  ): Promise<Round> {
    const prefix = `${this.name}-${this.#reports.length}-`
    const entry = this.#stored?.entry
    const databaseBefore = this.#stored?.databaseCpuSeconds?.()
    const cpuBefore = this.#cpuSeconds()
    const report = await load.run({
      urls: entry === undefined ? this.#servers.map(({ url }) => url) : [entry],
      connections,
      seconds,
      prefix,
      prepare: Math.round(this.#rate * seconds * HEADROOM),
    })
    this.#reports.push({ prefix, report })
    this.#rate = report.sent / report.seconds
    const databaseAfter = this.#stored?.databaseCpuSeconds?.()
    const round = {
      rate: report.acknowledged / report.seconds,
      p50Ms: report.p50Ms,
      p99Ms: report.p99Ms,
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

  /** The medians of the rounds so far. */
  standing(): Standing {
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
      refused: this.#sum(({ refused }) => refused.length),
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

  /** Ends the servers and tells what does not hold of what they stored: every 200 must be a row, once. */
  async stopAndCheck(): Promise<string[]> {
    const records = this.#stored?.records
    const told = records ? await this.#totals() : []
    await Promise.all(this.#servers.map((server) => server.stop()))
    if (!records) return []

    const rows = await records.count()
    let missing = 0
    for (const { prefix, report } of this.#reports) {
      const refused = new Set(report.refused.map(({ number }) => number))
      const numbers = Array.from({ length: report.sent }, (_, number) => number)
      missing += await records.missing(
        prefix,
        numbers.filter((number) => !refused.has(number)),
      )
    }
    const { acknowledged, refused } = this.standing()
    const wrong: string[] = []
    if (missing > 0)
      wrong.push(`${this.name}: ${missing} messages were answered 200 and are no row`)
    for (const total of told) {
      if (total !== rows)
        wrong.push(`${this.name}: /stats tells ${total} messages, the database has ${rows}`)
    }
    if (rows < acknowledged || rows > acknowledged + refused) {
      wrong.push(
        `${this.name}: ${acknowledged} messages were answered 200, the database has ${rows}`,
      )
    }
    return wrong
  }

  /** What each server says how many messages there are. */
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
