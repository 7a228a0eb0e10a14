import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { scale } from '../fault-scale.ts'
import { Load } from '../load.ts'
import { folderOf, type Service, startService } from '../service.ts'

/** System calls that read, write and sync. */
const CALLS =
  'read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fdatasync,fsync'
/** Traces all threads, with the path of each descriptor and whole pages. */
const STRACE = ['-f', '-y', '-s', '5000', '-e', `trace=${CALLS}`]

t.setTimeout(120_000)

/** Resolves once every thread of the process is traced. */
async function traced(pid: number | undefined): Promise<void> {
  const tasks = `/proc/${pid}/task`
  const isTraced = (task: string) =>
    /^TracerPid:\s+[1-9]/m.test(readFileSync(`${tasks}/${task}/status`, 'utf8'))
  while (!readdirSync(tasks).every(isTraced)) await delay(20)
}

/** Traces the system calls of a service until `stop`, which returns the lines of the trace. */
async function trace(t: Test, service: Service): Promise<{ stop: () => Promise<string[]> }> {
  const file = `${folderOf(t)}/trace`
  const strace = spawn('strace', [...STRACE, '-o', file, '-p', String(service.process.pid)], {
    stdio: 'ignore',
  })
  t.teardown(() => strace.kill())
  const exited = once(strace, 'exit')
  const failed = exited.then(([code]) => Promise.reject(new Error(`strace ended with ${code}`)))
  await Promise.race([traced(service.process.pid), failed])
  return {
    async stop() {
      strace.kill('SIGINT')
      await exited
      return readFileSync(file, 'utf8').split('\n')
    },
  }
}

/** Line numbers in the trace of the events of a message; -1 if an event is missing. */
interface Timeline {
  arrived: number
  written: number
  synced: number
  responded: number
}

/**
 * Finds successful system calls. Returns the line numbers of their start and their end.
 * strace prints a call on two lines, unfinished and resumed, if a call of another thread is between them.
 */
function completions(lines: string[], call: RegExp): { begun: number; done: number }[] {
  const begun = new Map<string, number>()
  return lines.flatMap((line, number) => {
    const thread = line.slice(0, line.indexOf(' '))
    const rest = line.slice(thread.length).trimStart()
    if (call.test(rest)) {
      if (/ = 0$/.test(line)) return [{ begun: number, done: number }]
      if (rest.includes('<unfinished ...>')) begun.set(thread, number)
      return []
    }
    const started = begun.get(thread)
    if (started === undefined || !/^<\.\.\. (fsync|fdatasync) resumed>.* = 0$/.test(rest)) return []
    begun.delete(thread)
    return [{ begun: started, done: number }]
  })
}

/** Returns the timeline of each message. */
function timelinesOf(lines: string[], ids: string[]): Map<string, Timeline> {
  const syncs = completions(lines, /^(fsync|fdatasync)\(\d+<[^>]*app\.db-wal>/)
  return new Map(
    ids.map((id) => {
      const request = new RegExp(`X-Request-ID: ${id}\\\\r`)
      const response = new RegExp(`HTTP/1\\.1 200 OK\\\\r\\\\nx-request-id: ${id}\\\\r`)
      const arrived = lines.findIndex((line) => request.test(line))
      const written = lines.findIndex(
        (line, number) =>
          number > arrived && /pwrite(64|v)\(\d+<[^>]*-wal>/.test(line) && line.includes(`${id}+`),
      )
      const synced = syncs.find(({ begun }) => begun > written)?.done ?? -1
      return [
        id,
        { arrived, written, synced, responded: lines.findIndex((line) => response.test(line)) },
      ]
    }),
  )
}

for (const [name, connections, messages] of [
  ['one at a time', 1, scale({ short: 20, full: 200 })],
  ['under load', 32, scale({ short: 200, full: 2000 })],
] as const) {
  t.test(`every message is synced between its arrival and its 200, ${name}`, async (t) => {
    const service = await startService(t)
    const tracing = await trace(t, service)
    const load = new Load({ url: () => service.url, connections, prefix: 'traced-' })
    await load.untilAcknowledged(messages)
    const { acknowledged } = await load.stop()
    const lines = await tracing.stop()
    const late: unknown[] = []
    for (const [id, timeline] of timelinesOf(lines, acknowledged)) {
      const { arrived, written, synced, responded } = timeline
      const isOrdered = 0 <= arrived && arrived < written && written < synced && synced < responded
      if (!isOrdered) late.push({ id, ...timeline })
    }
    t.strictSame(late, [], `${acknowledged.length} messages in ${lines.length} system calls`)
    if (connections > 1) {
      const syncs = completions(lines, /^(fsync|fdatasync)\(\d+<[^>]*app\.db-wal>/).length
      t.ok(syncs < acknowledged.length / 2, `${syncs} syncs for ${acknowledged.length} messages`)
    }
  })
}
