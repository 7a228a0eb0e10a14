import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { SHIPPED_OPTIONS } from '../tools/shipped-options.ts'

/** The webhook secret in all benchmarks. */
export const SECRET = 'benchsecret'

/** Maximum time until a server listens. */
const START_WITHIN_MS = 600_000

/** Servers to kill when this process exits. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A server under test, in a process of its own. */
export interface ServerProcess {
  url: string
  /** Returns the peak resident memory so far, in MiB; undefined without procfs. */
  peakMemoryMiB(): number | undefined
  /** Returns the resident memory, in MiB, and the number of open descriptors; undefined without procfs. */
  resourceUsage(): { memoryMiB: number; descriptors: number } | undefined
  /** Returns the processor time of all threads so far, in seconds; undefined without procfs. */
  cpuSeconds(): number | undefined
  /** Stops it with SIGTERM. @throws if it exits with an error. */
  stop(): Promise<void>
}

/**
 * Starts a server and waits until it listens.
 * Its output goes to a file, since reading a pipe would take processor time from the server.
 */
export async function startServer(
  name: string,
  args: string[],
  environment: Record<string, string>,
  logFile: string,
  executable = process.execPath,
): Promise<ServerProcess> {
  const output = openSync(logFile, 'w')
  const child = spawn(executable, args, {
    env: { WEBHOOK_SECRET: SECRET, HOST: '127.0.0.1', PORT: '0', ...environment },
    stdio: ['ignore', output, 'inherit'],
  })
  closeSync(output)
  running.add(child)
  const ended = once(child, 'exit').then(([code, signal]) => {
    running.delete(child)
    return code ?? signal
  })
  const procfs = (file: string) => readProc(`/proc/${child.pid}/${file}`)
  return {
    url: await listening(name, logFile, () => running.has(child)),
    peakMemoryMiB() {
      const found = /VmHWM:\s+(\d+) kB/.exec(procfs('status'))?.[1]
      return found === undefined ? undefined : Number(found) / 1024
    },
    resourceUsage() {
      const found = /VmRSS:\s+(\d+) kB/.exec(procfs('status'))?.[1]
      if (found === undefined) return undefined
      const descriptors = readdirSync(`/proc/${child.pid}/fd`).length
      return { memoryMiB: Number(found) / 1024, descriptors }
    },
    cpuSeconds() {
      // Fields 14 and 15, utime and stime, in ticks of 10 ms. The process name before them may contain spaces.
      const fields = procfs('stat').split(') ')[1]?.split(' ')
      return fields && (Number(fields[11]) + Number(fields[12])) / 100
    },
    async stop() {
      child.kill('SIGTERM')
      const status = await ended
      if (status !== 0 && status !== 'SIGTERM') throw new Error(`${name} ended with ${status}`)
    },
  }
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

async function listening(name: string, logFile: string, isUp: () => boolean): Promise<string> {
  const deadline = Date.now() + START_WITHIN_MS
  while (isUp() && Date.now() < deadline) {
    const url = /listening on (http:\/\/[^\s"]+)/.exec(readFileSync(logFile, 'utf8'))?.[1]
    if (url) return url
    await delay(20)
  }
  throw new Error(`${name} does not listen: ${readFileSync(logFile, 'utf8').slice(0, 500)}`)
}

/** The command line of the service in production. */
const SERVICE = [
  ...SHIPPED_OPTIONS,
  new URL('../bin/lyftr-webhook.js', import.meta.url).pathname,
  'serve',
]

/** Starts the service with its production options and the given settings. @param database its URL. */
export function startService(
  name: string,
  database: string,
  logFile: string,
  settings: Record<string, string> = {},
): Promise<ServerProcess> {
  const environment = { MALLOC_ARENA_MAX: '2', DATABASE_URL: database, ...settings }
  return startServer(name, SERVICE, environment, logFile)
}
