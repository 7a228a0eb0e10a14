import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SECRET } from '../service.ts'
import { freePort } from './free-port.ts'

const ENTRY = new URL('../../bin/lyftr-webhook.js', import.meta.url).pathname

/** How long an instance may take to be ready, its migrations included, in milliseconds. */
const READY_WITHIN_MS = 60_000

/** Whether what is at the address answers 200 now. */
export async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url)
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

/** Resolves once the condition holds, which is looked at every few milliseconds. @throws when it takes too long. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = READY_WITHIN_MS,
): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`after ${withinMs} ms still not: ${what}`)
    await delay(20)
  }
}

/** One process of the service on a port that it keeps when it ends and starts again. */
export class Instance {
  readonly port: number
  readonly url: string
  readonly #environment: Record<string, string>
  readonly #logFile: string
  #child: ChildProcess | undefined
  #ended: Promise<number | string | null> = Promise.resolve(null)

  private constructor(port: number, environment: Record<string, string>, folder: string) {
    this.port = port
    this.url = `http://127.0.0.1:${port}`
    this.#environment = environment
    this.#logFile = join(folder, `${port}.log`)
  }

  /** An instance that is not started yet; its log goes to a file in the folder, as it does in production. */
  static async create(environment: Record<string, string>, folder: string): Promise<Instance> {
    return new Instance(await freePort(), environment, folder)
  }

  /** Starts it and resolves once it is ready. @throws when it ends instead. */
  async start(): Promise<void> {
    const log = openSync(this.#logFile, 'a')
    const child = spawn(process.execPath, [ENTRY, 'serve'], {
      env: {
        WEBHOOK_SECRET: SECRET,
        HOST: '127.0.0.1',
        PORT: String(this.port),
        ...this.#environment,
      },
      stdio: ['ignore', log, 'inherit'],
    })
    closeSync(log)
    this.#child = child
    this.#ended = once(child, 'exit').then(([code, signal]) => code ?? signal)
    await until(`${this.url} is ready`, async () => {
      if (child.exitCode !== null) throw new Error(`an instance ended with ${child.exitCode}`)
      return this.ready()
    })
  }

  /** Whether it says that it is ready. */
  ready(): Promise<boolean> {
    return answers(`${this.url}/health/ready`)
  }

  /** Asks it to end, as an orchestrator does. @returns the exit status, or the signal that ended it. */
  terminate(): Promise<number | string | null> {
    this.#child?.kill('SIGTERM')
    return this.#ended
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#ended
  }

  /** How many posts ended like this since it started. */
  async counted(result: 'created' | 'duplicate'): Promise<number> {
    const metrics = await (await fetch(`${this.url}/metrics`)).text()
    const found = new RegExp(`^webhook_requests_total{result="${result}"} (\\d+)$`, 'm').exec(
      metrics,
    )
    return Number(found?.[1] ?? 0)
  }
}
