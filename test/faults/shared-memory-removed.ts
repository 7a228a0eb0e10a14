import { rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { Load } from '../load.ts'
import { folderOf, runEntry, startService, wire } from '../service.ts'

/** Number of runs: corruption would depend on how the writes of the two processes interleave. */
const RUNS = 2

const IMPORTED = 2000

t.setTimeout(120_000)

function lines(prefix: string): string {
  return Array.from(
    { length: IMPORTED },
    (_, n) => `${wire({ message_id: `${prefix}${n}` })}\n`,
  ).join('')
}

/** Asserts that the database is not corrupt. @returns all ids in it. */
function storedIds(t: Test, path: string): Set<unknown> {
  const database = new Database(path, { readonly: true })
  t.equal(database.pragma('integrity_check', { simple: true }), 'ok')
  const ids = database.prepare('select message_id from messages').pluck().all()
  database.close()
  return new Set(ids)
}

for (let run = 1; run <= RUNS; run++) {
  t.test(`nothing acknowledged is lost when the -shm file is removed, run ${run}`, async (t) => {
    const path = `${folderOf(t)}/app.db`
    const service = await startService(t)
    const load = new Load({
      url: () => service.url,
      connections: 16,
      prefix: 'posted-',
      pauseMs: 20,
    })
    await load.untilAcknowledged(200 * run)
    rmSync(`${path}-shm`)
    const environment = { DATABASE_URL: `sqlite:///${path}` }
    for (const prefix of ['imported-', 'again-']) {
      const { status, stderr } = await runEntry(t, ['import', '-'], environment, lines(prefix))
      t.equal(status, 0, stderr)
    }
    const { acknowledged, statuses } = await load.stop()
    t.strictSame([...statuses.keys()].sort(), [200, 503], 'posts are rejected')
    t.equal((await fetch(`${service.url}/health/ready`)).status, 503)
    t.equal(
      (await fetch(`${service.url}/stats`)).status,
      503,
      'reads are rejected, as they could be stale',
    )
    t.match(
      service.log.filter(({ level, msg }) => level === 'ERROR' && /restart/.test(String(msg))),
      [{ cause: { message: /app\.db-shm/ } }],
      'logged once',
    )
    service.process.kill('SIGTERM')
    t.equal(await service.ended, 0)

    const restarted = await startService(t)
    t.equal((await fetch(`${restarted.url}/health/ready`)).status, 200, 'ready after a restart')
    restarted.process.kill('SIGTERM')
    t.equal(await restarted.ended, 0)
    const stored = storedIds(t, path)
    t.strictSame(
      acknowledged.filter((id) => !stored.has(id)),
      [],
      'every 200 is stored',
    )
    for (const prefix of ['imported-', 'again-']) {
      const missing = Array.from({ length: IMPORTED }, (_, n) => `${prefix}${n}`).filter(
        (id) => !stored.has(id),
      )
      t.equal(missing.length, 0, `${prefix} is stored`)
    }
  })
}
