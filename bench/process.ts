import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { SHIPPED_OPTIONS } from '../tools/shipped-options.ts'

/** The secret of every signature in the benches. */
export const SECRET = 'benchsecret'

const START_WITHIN_MS = 600_000

/** Whatever ends this process, no server outlives it. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A server that runs in a process of its own. */
export interface ServerProcess {
  url: string
  /** The most memory it has held so far, in MiB; undefined where the system does not tell. */
  peakMemoryMiB(): number | undefined
  /** The memory it holds now, in MiB, and its open descriptors; undefined where the system does not tell. */
  seriesValues(): { memoryMiB: number; descriptors: number } | undefined
  /** Seconds of processor time it has used so far, all threads; undefined where the system does not tell. */
  cpuSeconds(): number | undefined
  /** Ends it the way an orchestrator does. @throws when it did not end well. */
  stop(): Promise<void>
}

/**
 * Starts a server and waits until it says where it listens. Its output goes to a file, as it does in production:
 * a pipe would make this process read along and take the time for it from the one that is measured.
 */
export async function startServer(
  name: string,
  args: string[],
  environment: Record<string, string>,
  logFile: string,
): Promise<ServerProcess> {
  const output = openSync(logFile, 'w')
  const child = spawn(process.execPath, args, {
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
    seriesValues() {
      const found = /VmRSS:\s+(\d+) kB/.exec(procfs('status'))?.[1]
      if (found === undefined) return undefined
      const descriptors = readdirSync(`/proc/${child.pid}/fd`).length
      return { memoryMiB: Number(found) / 1024, descriptors }
    },
    cpuSeconds() {
      // After the name, which may hold anything, in parentheses; in ticks of 10 ms.
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

/** The entry, as it ships. */
const SERVICE = [
  ...SHIPPED_OPTIONS,
  new URL('../bin/lyftr-webhook.js', import.meta.url).pathname,
  'serve',
]

/** Starts the service as it ships on the database at a URL, but for the settings given. */
export function startService(
  name: string,
  database: string,
  logFile: string,
  settings: Record<string, string> = {},
): Promise<ServerProcess> {
  const environment = { MALLOC_ARENA_MAX: '2', DATABASE_URL: database, ...settings }
  return startServer(name, SERVICE, environment, logFile)
}
