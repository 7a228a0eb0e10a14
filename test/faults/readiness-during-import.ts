import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { scale } from '../fault-scale.ts'
import { Load } from '../load.ts'
import { folderOf, type Service, spawnEntry, startService, wire } from '../service.ts'

const MESSAGES = scale({ short: 10_000, full: 300_000 })

const PROBE_EVERY_MS = 50

t.setTimeout(900_000)

/** Sends probes and posts until `work` is done, and asserts that each gets 200. */
async function assertReadyDuring(t: Test, service: Service, work: Promise<unknown>): Promise<void> {
  const load = new Load({ url: () => service.url, connections: 4, prefix: 'p', pauseMs: 50 })
  const statuses = new Map<number, number>()
  let ended = false
  const done = work.finally(() => {
    ended = true
  })
  while (!ended) {
    const { status } = await fetch(`${service.url}/health/ready`)
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    await delay(PROBE_EVERY_MS)
  }
  await done
  const posted = await load.stop()
  t.comment(
    `${statuses.get(200)} probes, slowest post ${Math.round(Math.max(...posted.latencies))} ms`,
  )
  t.strictSame([...statuses.keys()], [200], 'every probe')
  t.strictSame([...posted.statuses.keys()], [200], 'every post')
}

/** Writes the input of an import, as fast as it is read. */
async function writeLines(to: NodeJS.WritableStream): Promise<void> {
  for (let n = 0; n < MESSAGES; ) {
    let lines = ''
    for (const end = n + 1000; n < end; n++) {
      const text = `message ${n} says ${(n * 7919).toString(36)} and ${(n * 104_729).toString(36)}`
      lines += `${wire({ message_id: `imported-${n}`, from: `+${n % 10_000}`, text })}\n`
    }
    if (!to.write(lines)) await once(to, 'drain')
  }
  to.end()
}

t.test('the service stays ready during an import and a repair', async (t) => {
  const path = `${folderOf(t)}/app.db`
  const service = await startService(t)
  const environment = { DATABASE_URL: `sqlite:///${path}` }

  const importing = spawnEntry(t, ['import', '-'], environment)
  if (importing.child.stdin) void writeLines(importing.child.stdin)
  await assertReadyDuring(t, service, importing.ended)
  t.equal(await importing.ended, 0, importing.stderr())

  const database = new Database(path)
  database.exec('update days set count = count + 1')
  database.close()
  const repairing = spawnEntry(t, ['verify', '--repair'], environment)
  repairing.child.stdout?.resume()
  await assertReadyDuring(t, service, repairing.ended)
  t.equal(await repairing.ended, 0, repairing.stderr())
})
