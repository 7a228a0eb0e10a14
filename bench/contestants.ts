import { join } from 'node:path'
import Database from 'better-sqlite3'
import { median } from './figures.ts'
import type { LoadReport } from './load.ts'
import type { LoadProcess } from './load-process.ts'
import { type ServerProcess, startServer, startService } from './process.ts'

const FLOOR = [new URL('./floor.ts', import.meta.url).pathname]

/** A round of load and what it took of the server. */
export interface Round {
  rate: number
  p50Ms: number
  p99Ms: number
  /** Shares of a core. */
  serverCpu: number
  loadCpu: number
}

/** What one contestant did in the whole run. */
export interface Standing {
  name: string
  title: string
  rounds: Round[]
  rate: number
  p50Ms: number
  p99Ms: number
  peakMemoryMiB: number | undefined
  acknowledged: number
  /** Answered anything but 200. */
  refused: number
}

/** Requests are prepared for this much more than the rate of the round before. */
const HEADROOM = 1.2
const FIRST_RATE = 20_000

/** A server under load, and everything it acknowledged. */
export class Contestant {
  readonly name: string
  readonly title: string
  /** Undefined where nothing is stored. */
  readonly database: string | undefined
  readonly #server: ServerProcess
  readonly #reports: { prefix: string; report: LoadReport }[] = []
  readonly #rounds: Round[] = []
  #rate = FIRST_RATE

  private constructor(
    name: string,
    title: string,
    server: ServerProcess,
    database: string | undefined,
  ) {
    this.name = name
    this.title = title
    this.#server = server
    this.database = database
  }

  /** The bare server. */
  static async floor(folder: string): Promise<Contestant> {
    const server = await startServer('floor', FLOOR, {}, join(folder, 'floor.log'))
    return new Contestant('floor', 'bare Fastify: signature and JSON', server, undefined)
  }

  /** The service as it ships, with an empty database in the folder. */
  static async service(
    folder: string,
    name: string,
    title: string,
    settings: Record<string, string> = {},
  ): Promise<Contestant> {
    const database = join(folder, `${name}.db`)
    const server = await startService(name, database, join(folder, `${name}.log`), settings)
    return new Contestant(name, title, server, database)
  }

  /** One round; what it measures counts unless it is a warm-up. */
  async round(
    load: LoadProcess,
    { connections, seconds, counts }: { connections: number; seconds: number; counts: boolean },
  ): Promise<Round> {
    const prefix = `${this.name}-${this.#reports.length}-`
    const cpuBefore = this.#server.cpuSeconds() ?? Number.NaN
    const report = await load.run({
      url: this.#server.url,
      connections,
      seconds,
      prefix,
      prepare: Math.round(this.#rate * seconds * HEADROOM),
    })
    this.#reports.push({ prefix, report })
    this.#rate = report.sent / report.seconds
    const round = {
      rate: report.acknowledged / report.seconds,
      p50Ms: report.p50Ms,
      p99Ms: report.p99Ms,
      serverCpu: ((this.#server.cpuSeconds() ?? Number.NaN) - cpuBefore) / report.seconds,
      loadCpu: report.cpu,
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
      peakMemoryMiB: this.#server.peakMemoryMiB(),
      acknowledged: this.#sum(({ acknowledged }) => acknowledged),
      refused: this.#sum(({ refused }) => refused.length),
    }
  }

  #sum(of: (report: LoadReport) => number): number {
    return this.#reports.reduce((sum, { report }) => sum + of(report), 0)
  }

  /** Ends the server and tells what does not hold of what it stored: every 200 must be a row, once. */
  async stopAndCheck(): Promise<string[]> {
    const database = this.database
    if (database === undefined) {
      await this.#server.stop()
      return []
    }
    const response = await fetch(`${this.#server.url}/stats`)
    const { total_messages: told } = (await response.json()) as { total_messages: number }
    await this.#server.stop()

    const file = new Database(database, { readonly: true })
    const rows = file.prepare<[], number>('select count(*) from messages').pluck().get() ?? 0
    const known = file.prepare<[string], number>('select 1 from messages where message_id = ?')
    let missing = 0
    for (const { prefix, report } of this.#reports) {
      const refused = new Set(report.refused.map(({ number }) => number))
      for (let number = 0; number < report.sent; number++) {
        if (!refused.has(number) && !known.get(prefix + number)) missing++
      }
    }
    file.close()

    const { acknowledged, refused } = this.standing()
    const wrong: string[] = []
    if (missing > 0)
      wrong.push(`${this.name}: ${missing} messages were answered 200 and are no row`)
    if (told !== rows)
      wrong.push(`${this.name}: /stats tells ${told} messages, the file has ${rows}`)
    if (rows < acknowledged || rows > acknowledged + refused) {
      wrong.push(`${this.name}: ${acknowledged} messages were answered 200, the file has ${rows}`)
    }
    return wrong
  }
}
