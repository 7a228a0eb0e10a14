import { type ChildProcess, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import type { Test } from 'tap'
import { type App, buildApp } from '../src/app.ts'
import { type Config, parseConfig } from '../src/config.ts'
import { SHIPPED_OPTIONS } from '../tools/shipped-options.ts'
import { ResponseContract } from './contract.ts'
import { createDatabase } from './db/postgres/server.ts'

/** The WEBHOOK_SECRET of apps and services in tests. */
export const SECRET = 'testsecret'

/** A parsed line of the log. */
export type LogLine = Record<string, unknown>

/** A message to post; `wire` fills in the other fields. */
export interface Message {
  message_id: string
  from?: string
  to?: string
  ts?: string
  text?: string | null
}

/** Returns the JSON of a message, with defaults for the fields that it lacks. */
export function wire(message: Message): string {
  return JSON.stringify({
    from: '+919876543210',
    to: '+14155550100',
    ts: '2025-01-15T10:00:00Z',
    ...message,
  })
}

/** Returns the signature of a body in hex. */
export function sign(body: string | Uint8Array, secret = SECRET): string {
  return createHmac('sha256', secret).update(body).digest('hex')
}

/** Returns the folder of a test; created empty on the first call, and removed after the test. */
export function folderOf(t: Test): string {
  return existsSync(t.testdirName) ? t.testdirName : t.testdir()
}

/** URLs of the databases of tests. */
const databases = new WeakMap<Test, Promise<string>>()

/** Returns the URL of the test's database: a file, or with TEST_STORE a new PostgreSQL database. */
function databaseOf(t: Test): Promise<string> {
  const url =
    databases.get(t) ??
    (process.env.TEST_STORE === 'postgres'
      ? createDatabase(t)
      : Promise.resolve(`sqlite:///${folderOf(t)}/app.db`))
  databases.set(t, url)
  return url
}

/** Settings of an app without any source. */
export const NO_SOURCES = parseConfig({}).sources

/** Returns the configuration of an app with the test's database and a free port. */
async function configFor(t: Test, overrides: Partial<Config> = {}): Promise<Config> {
  const environment = {
    WEBHOOK_SECRET: SECRET,
    DATABASE_URL: await databaseOf(t),
    HOST: '127.0.0.1',
    PORT: '0',
  }
  return { ...parseConfig(environment), ...overrides }
}

/** Fails the test for each response of `app.inject` that violates the app's OpenAPI document. */
function enforceContract(t: Test, app: App): void {
  const contract = new ResponseContract(app.swagger())
  app.inject = new Proxy(app.inject, {
    apply: async (inject, self, args) => {
      const [request] = args
      const { method = 'GET', url } = typeof request === 'string' ? { url: request } : request
      const response = await Reflect.apply(inject, self, args)
      const { statusCode: status, headers, body } = response
      const violation = contract.violation({ method, url: String(url), status, headers, body })
      if (violation) t.fail(violation)
      return response
    },
  })
}

/**
 * Starts an app that is closed after the test.
 * `startLog` has the log lines written during the start, `log` the later ones.
 */
export async function startApp(
  t: Test,
  overrides: Partial<Config> = {},
): Promise<{ app: App; log: LogLine[]; startLog: LogLine[] }> {
  const log: LogLine[] = []
  const app = await buildApp(await configFor(t, overrides), {
    write: (line) => log.push(JSON.parse(line)),
    flush: (done) => done?.(),
  })
  t.teardown(() => app.close())
  enforceContract(t, app)
  return { app, log, startLog: log.splice(0) }
}

/** Posts a body with these headers; default: a valid signature. */
export function post(
  app: App,
  body: string | Buffer,
  headers: Record<string, string> = { 'x-signature': sign(body) },
) {
  return app.inject({
    method: 'POST',
    url: '/webhook',
    headers: { 'content-type': 'application/json', ...headers },
    payload: body,
  })
}

/** Posts messages in sequence, and asserts that each response is 200. */
export async function postAll(t: Test, app: App, messages: Message[]): Promise<void> {
  for (const message of messages) {
    const { statusCode, body } = await post(app, wire(message))
    t.equal(statusCode, 200, body)
  }
}

/** A process of the service. */
export interface Service {
  process: ChildProcess
  url: string
  log: LogLine[]
  stderr: () => string
  /** Resolves with the exit status, or the signal that ended the process. */
  ended: Promise<number | string | null>
}

/** Starts the command line with the Node options of production, and with exactly this environment. */
export function spawnEntry(
  t: Test,
  args: string[],
  environment: Record<string, string>,
  cwd = folderOf(t),
): { child: ChildProcess; stderr: () => string; ended: Promise<number | string | null> } {
  const entry = new URL('../bin/lyftr-webhook.js', import.meta.url).pathname
  const child = spawn(process.execPath, [...SHIPPED_OPTIONS, entry, ...args], {
    cwd,
    env: environment,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { child, stderr: () => stderr, ended }
}

/** Pattern of the standard error of a failed command: the database if it is known, then one line. */
export const ONE_ERROR_LINE = /^(database: [^\n]+\n)?lyftr-webhook: [^\n]+\n$/

/** Runs the command line until it exits, with this standard input. */
export async function runEntry(
  t: Test,
  args: string[],
  environment: Record<string, string> = {},
  input: string | Buffer = '',
): Promise<{ status: number | string | null; stdout: string; stderr: string }> {
  const { child, stderr, ended } = spawnEntry(t, args, environment)
  let stdout = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  // A command with invalid arguments exits before it reads its input.
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)
  return { status: await ended, stdout, stderr: stderr() }
}

/** Contracts of the started services, by origin. */
const contracts = new Map<string, ResponseContract>()

/** Makes `fetch` reject for each response that violates the OpenAPI document of its service. */
globalThis.fetch = new Proxy(globalThis.fetch, {
  apply: async (fetch, self, args: Parameters<typeof globalThis.fetch>) => {
    const response: Response = await Reflect.apply(fetch, self, args)
    const [url, { method = 'GET' } = {}] = args
    const contract = contracts.get(new URL(String(url)).origin)
    const body = await response.clone().text()
    const headers = Object.fromEntries(response.headers)
    const { status } = response
    const violation = contract?.violation({ method, url: String(url), status, headers, body })
    if (violation) throw new Error(violation)
    return response
  },
})

/** Starts a service and waits until it listens. */
export async function startService(
  t: Test,
  environment: Record<string, string> = {},
): Promise<Service> {
  const { child, stderr, ended } = spawnEntry(t, ['serve'], {
    WEBHOOK_SECRET: SECRET,
    DATABASE_URL: await databaseOf(t),
    HOST: '127.0.0.1',
    PORT: '0',
    ...environment,
  })
  const log: LogLine[] = []
  const url = await new Promise<string>((resolve, reject) => {
    if (!child.stdout) throw new Error('the service has no standard output')
    // Not with readline, which also splits lines at U+2028.
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (more: string) => {
      const lines = (text + more).split('\n')
      text = lines.pop() ?? ''
      for (const one of lines) {
        const line: LogLine = JSON.parse(one)
        log.push(line)
        const listening = /listening on (\S+)/.exec(String(line.msg))?.[1]
        if (listening) resolve(listening)
      }
    })
    ended.then((status) => reject(new Error(`the service ended with ${status}: ${stderr()}`)))
  })
  const description = await fetch(`${url}/openapi.json`)
  contracts.set(url, new ResponseContract(await description.json()))
  return { process: child, url, log, stderr, ended }
}
