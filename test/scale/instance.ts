import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../tools/free-port.ts'
import { until } from '../../tools/until.ts'
import { SECRET } from '../service.ts'

const ENTRY = new URL('../../bin/lyftr-webhook.js', import.meta.url).pathname

/** Returns whether a GET of the URL gets a 2xx status. */
export async function isOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url)
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

/** A process of the service, which keeps its port across restarts. */
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

  /** Returns an instance that is not started yet. Its log goes to a file in the folder. */
  static async create(environment: Record<string, string>, folder: string): Promise<Instance> {
    return new Instance(await freePort(), environment, folder)
  }

  /** Starts the process and resolves once it is ready. @throws Error if it exits instead. */
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
      if (child.exitCode !== null) throw new Error(`an instance exited with ${child.exitCode}`)
      return this.ready()
    })
  }

  /** Returns whether its readiness check passes. */
  ready(): Promise<boolean> {
    return isOk(`${this.url}/health/ready`)
  }

  /** Sends SIGTERM. @returns the exit status, or the signal that ended the process. */
  terminate(): Promise<number | string | null> {
    this.#child?.kill('SIGTERM')
    return this.#ended
  }

  /** Sends SIGKILL and waits for the process to exit. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#ended
  }

  /** Returns how many posts had this result since the process started. */
  async counted(result: 'created' | 'duplicate'): Promise<number> {
    const metrics = await (await fetch(`${this.url}/metrics`)).text()
    const found = new RegExp(`^webhook_requests_total{result="${result}"} (\\d+)$`, 'm').exec(
      metrics,
    )
    return Number(found?.[1] ?? 0)
  }
}
