import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import type { Test } from 'tap'
import { freePort } from '../../tools/free-port.ts'
import { until } from '../../tools/until.ts'
import { Load } from '../load.ts'
import { folderOf, SECRET, type Service, sign, startService } from '../service.ts'
import type { Block } from './manual-blocks.ts'

const ENTRY = new URL('../../bin/lyftr-webhook.js', import.meta.url).pathname

/** Milliseconds between the posts of a sender. */
const PAUSE_MS = 20

/** Number of messages that are stored before the first command. */
export const SOME_MESSAGES = 100

/** What a run of the manual needs to know about the store. */
export interface RunOptions {
  databaseUrl: string
  /** Creates an empty database, and returns its URL. */
  createDatabase?: () => Promise<string>
  /** Folder of further programs. */
  programs?: string
}

/** A service that receives messages while commands of the manual are run in its working directory. */
export class ManualRun {
  readonly folder: string
  /** Environment of the service and of the commands. */
  readonly environment: Record<string, string>
  readonly #t: Test
  readonly #createDatabase: RunOptions['createDatabase']
  readonly #load: Load
  #service: Service | undefined

  private constructor(t: Test, port: number, { createDatabase, ...options }: RunOptions) {
    this.#t = t
    this.folder = folderOf(t)
    this.#createDatabase = createDatabase
    // `npx` takes commands from the nearest node_modules.
    mkdirSync(`${this.folder}/node_modules/.bin`, { recursive: true })
    symlinkSync(ENTRY, `${this.folder}/node_modules/.bin/lyftr-webhook`)
    symlinkSync(process.execPath, `${this.folder}/node_modules/.bin/node`)
    this.environment = {
      PATH: `${options.programs ?? ''}:${process.env.PATH}`,
      HOME: this.folder,
      npm_config_cache: `${this.folder}/.npm`,
      npm_config_update_notifier: 'false',
      WEBHOOK_SECRET: SECRET,
      DATABASE_URL: options.databaseUrl,
      HOST: '127.0.0.1',
      PORT: String(port),
    }
    this.#load = new Load({
      url: () => this.url,
      connections: 2,
      pauseMs: PAUSE_MS,
      retry: true,
      text: 'Hello',
    })
  }

  /** Starts the service and the senders. Resolves when `SOME_MESSAGES` and a rejected body are stored. */
  static async start(t: Test, options: RunOptions): Promise<ManualRun> {
    const run = new ManualRun(t, await freePort(), options)
    t.teardown(() => run.#load.stop())
    await run.#startService()
    await run.#load.untilAcknowledged(SOME_MESSAGES)
    const body = '{}'
    const headers = { 'content-type': 'application/json', 'x-signature': sign(body) }
    const { status } = await fetch(`${run.url}/webhook`, { method: 'POST', headers, body })
    t.equal(status, 422, 'a body is rejected')
    await until('the rejected body is kept', async () => {
      const rejected = await fetch(`${run.url}/rejected`)
      return ((await rejected.json()) as { data: unknown[] }).data.length > 0
    })
    return run
  }

  /** URL of the service. */
  get url(): string {
    return `http://127.0.0.1:${this.environment.PORT}`
  }

  /** Ids of the messages that got 200 so far. */
  get acknowledged(): readonly string[] {
    return this.#load.results.acknowledged
  }

  /**
   * Runs a block, with the service running or stopped as the manual says.
   * An exported `DATABASE_URL` applies to later blocks and to the service.
   * @returns the output of its commands.
   * @throws Error if a command fails.
   */
  async run(block: Block): Promise<string> {
    if (block.stopped) await this.#stopService()
    else await this.#startService()
    if (this.#createDatabase && block.script.includes('NEW_DATABASE_URL')) {
      this.environment.NEW_DATABASE_URL = await this.#createDatabase()
    }
    const output = await this.shell(`${block.script}\nprintf %s "$DATABASE_URL" > database-url`)
    this.environment.DATABASE_URL = readFileSync(`${this.folder}/database-url`, 'utf8')
    if (!block.stopped) await this.#load.untilAcknowledged(1)
    return output
  }

  /** Runs commands with bash, which stops at the first one that fails. @returns their output. */
  async shell(script: string): Promise<string> {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: this.folder,
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const texts = [child.stdout, child.stderr].map((stream) => stream.setEncoding('utf8').toArray())
    const [status] = await once(child, 'close')
    const [stdout = '', stderr = ''] = (await Promise.all(texts)).map((parts) => parts.join(''))
    if (status !== 0) throw new Error(`${script}\nexited with ${status}: ${stdout}${stderr}`)
    return stdout
  }

  /** Returns all messages of the database as lines of an export, sorted. */
  async exportSorted(): Promise<string[]> {
    return sorted(await this.shell('npx lyftr-webhook export'))
  }

  /** Returns the ids of the feed after a cursor, by default from the first message on, and the last cursor. */
  async readFeed(cursor = ''): Promise<{ ids: string[]; next: string }> {
    const ids: string[] = []
    let next = cursor
    for (;;) {
      const after = next && `&cursor=${next}`
      const response = await fetch(`${this.url}/feed?limit=1000${after}`)
      const page: unknown = await response.json()
      if (response.status !== 200) throw new Error(JSON.stringify(page))
      const { data, ...rest } = page as {
        data: { message_id: string }[]
        next: string
        done: boolean
      }
      ids.push(...data.map(({ message_id }) => message_id))
      next = rest.next
      if (rest.done) return { ids, next }
    }
  }

  /** Stops the senders while the service runs. */
  async stopTraffic(): Promise<void> {
    await this.#startService()
    await this.#load.untilAcknowledged(1)
    await this.#load.stop()
  }

  async #startService(): Promise<void> {
    if (this.#service) return
    const { PATH: _path, ...settings } = this.environment
    this.#service = await startService(this.#t, settings)
    await until('the service is ready', async () => {
      const response = await fetch(`${this.url}/health/ready`)
      await response.arrayBuffer()
      return response.ok
    })
  }

  async #stopService(): Promise<void> {
    this.#service?.process.kill('SIGTERM')
    const status = await this.#service?.ended
    this.#service = undefined
    if (status) throw new Error(`the service ended with ${status}`)
  }
}

/** Returns the lines of a text, sorted. */
export function sorted(text: string): string[] {
  return text.trimEnd().split('\n').sort()
}
