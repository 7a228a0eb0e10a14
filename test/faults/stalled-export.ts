import { statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t from 'tap'
import { Load } from '../load.ts'
import { folderOf, spawnEntry, startService } from '../service.ts'

const MiB = 1024 * 1024

/** Size to which the write-ahead log is truncated. */
const LIMIT = 128 * MiB

t.setTimeout(300_000)

t.test('the write-ahead log is truncated after a stalled export has ended', async (t) => {
  const path = `${folderOf(t)}/app.db`
  const service = await startService(t)
  const walBytes = () => statSync(`${path}-wal`).size
  const filled = new Load({
    url: () => service.url,
    connections: 8,
    prefix: 'a-',
    text: 'x'.repeat(4000),
  })
  await filled.untilAcknowledged(500)

  // Nothing reads its output: once the pipe is full, the export stalls with its snapshot open.
  const exporting = spawnEntry(t, ['export'], { DATABASE_URL: `sqlite:///${path}` })
  while ((exporting.child.stdout?.readableLength ?? 0) === 0) await delay(20)
  await filled.stop()

  // Another program writes more than the limit, since the log cannot be reused during the export.
  const other = new Database(path)
  other.exec('create table ballast (body blob)')
  const insert = other.prepare('insert into ballast values (zeroblob(?))')
  while (walBytes() < LIMIT + 32 * MiB) insert.run(8 * MiB)
  const grown = walBytes()
  exporting.child.kill('SIGKILL')
  await exporting.ended

  const started = performance.now()
  const after = new Load({ url: () => service.url, connections: 1, prefix: 'b-', pauseMs: 50 })
  while (walBytes() > LIMIT) await delay(20)
  const ms = Math.round(performance.now() - started)
  const { latencies, statuses } = await after.stop()
  other.close()
  t.comment(
    `${Math.round(grown / MiB)} MiB truncated after ${ms} ms; slowest post ${Math.round(Math.max(...latencies))} ms`,
  )
  t.strictSame([...statuses.keys()], [200])
  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0)
})
