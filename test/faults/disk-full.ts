import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { assertFeed, startConsumers } from '../feed-consumers.ts'
import { Load } from '../load.ts'
import { folderOf, type Service, startService } from '../service.ts'

const MiB = 1024 * 1024

/** Large enough that a few hundred messages fill the free space. */
const TEXT = 'full '.repeat(800)

t.setTimeout(120_000)

function run(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

async function statusOf(service: Service, path: string): Promise<number> {
  return (await fetch(service.url + path)).status
}

/** A disk that can be filled and freed. */
interface Disk {
  fill(): void
  free(): void
  /** Frees less space than an append may need. */
  freeLittle?(): void
}

/** Fills the disk under load, and asserts rejection, reads, readiness and recovery. */
async function check(t: Test, service: Service, path: string, disk: Disk): Promise<void> {
  const load = (prefix: string) =>
    new Load({ url: () => service.url, connections: 16, prefix, text: TEXT })
  const consumers = startConsumers(t, () => service.url)
  const before = load('before-')
  await before.untilAcknowledged(100)
  disk.fill()
  while ((before.results.statuses.get(503) ?? 0) < 100) await delay(10)
  t.equal(await statusOf(service, '/health/ready'), 503, 'not ready while the disk is full')
  t.equal(await statusOf(service, '/health/live'), 200)
  const { acknowledged, statuses, rejected, lost } = await before.stop()
  t.strictSame([...statuses.keys()].sort(), [200, 503], 'only 200 and 503')
  t.equal(lost, 0)
  for (const { headers, body } of rejected) {
    if (headers['retry-after'] !== '1' || body !== '{"detail":"the database is not available"}') {
      t.fail(`rejected with ${JSON.stringify(headers)} ${body}`)
    }
  }

  // No posts from here on: an orchestrator sends none to a service that is not ready.
  const stats = (await (await fetch(`${service.url}/stats`)).json()) as { total_messages: number }
  t.equal(
    stats.total_messages,
    acknowledged.length,
    'reads are served, and exactly the acknowledged messages are stored',
  )
  for (let probe = 0; probe < 10; probe++) {
    t.equal(await statusOf(service, '/health/ready'), 503)
  }
  if (disk.freeLittle) {
    disk.freeLittle()
    t.equal(
      await statusOf(service, '/health/ready'),
      503,
      'not ready with less free space than an append needs',
    )
  }
  disk.free()
  t.equal(await statusOf(service, '/health/ready'), 200, 'ready as soon as there is free space')
  t.equal(await statusOf(service, '/health/ready'), 200)
  const after = load('after-')
  await after.untilAcknowledged(200)
  const seenAfter = await after.stop()
  t.strictSame([...seenAfter.statuses.keys()], [200], 'messages are stored again')
  const fed = await assertFeed(t, consumers, service.url, [
    ...acknowledged,
    ...seenAfter.acknowledged,
  ])

  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0)
  const database = new Database(path, { readonly: true })
  t.equal(database.pragma('integrity_check', { simple: true }), 'ok')
  const stored = database.prepare('select message_id from messages order by 1').pluck().all()
  database.close()
  t.strictSame(stored, fed.sort(), 'the feed has every stored message')
  t.strictSame(stored, [...acknowledged, ...seenAfter.acknowledged].sort())
}

t.test('posts get 503 while the disk is full', async (t) => {
  const disk = `${folderOf(t)}/disk`
  mkdirSync(disk)
  if (!run('mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk)) {
    t.comment('cannot mount a file system: only the test with a file size limit runs')
    return
  }
  const service = await startService(t, { DATABASE_URL: 'sqlite:///disk/app.db' })
  const filler = `${disk}/filler`
  let written = 0
  const unmount = async () => {
    service.process.kill('SIGKILL')
    await service.ended
    run('umount', disk)
  }
  await check(t, service, `${disk}/app.db`, {
    fill() {
      const file = openSync(filler, 'a')
      try {
        for (;;) written += writeSync(file, Buffer.alloc(4096))
      } catch {
        // No space left on device.
      }
      closeSync(file)
    },
    freeLittle() {
      run('truncate', '-s', String(written - MiB), filler)
    },
    free() {
      rmSync(filler)
    },
  }).finally(unmount)
})

t.test('posts get 503 while writes fail at a file size limit', async (t) => {
  const service = await startService(t)
  const limit = (bytes: string) =>
    run('prlimit', '--pid', `${service.process.pid}`, `--fsize=${bytes}`)
  await check(t, service, `${folderOf(t)}/app.db`, {
    fill() {
      t.ok(limit(`${4 * MiB}:unlimited`), 'the limit is set')
    },
    free() {
      limit('unlimited:unlimited')
    },
  })
})

t.test('starts on a full disk, serves reads, and recovers once there is free space', async (t) => {
  const disk = `${folderOf(t)}/disk`
  mkdirSync(disk)
  if (!run('mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk)) {
    t.comment('cannot mount a file system')
    return
  }
  const filler = `${disk}/filler`
  const fill = () => {
    const file = openSync(filler, 'a')
    try {
      for (;;) writeSync(file, Buffer.alloc(4096))
    } catch {
      // No space left on device.
    }
    closeSync(file)
  }
  const environment = { DATABASE_URL: 'sqlite:///disk/app.db' }
  const post = async (service: Service, message_id: string) => {
    const load = new Load({ url: () => service.url, connections: 1, prefix: message_id })
    while (load.results.statuses.size === 0) await delay(5)
    return [...(await load.stop()).statuses.keys()]
  }
  let service = await startService(t, environment)
  try {
    t.strictSame(await post(service, 'before'), [200])
    fill()
    service.process.kill('SIGKILL')
    await service.ended
    service = await startService(t, environment)
    t.equal(await statusOf(service, '/health/ready'), 503)
    t.equal(await statusOf(service, '/health/live'), 200)
    t.strictSame(await post(service, 'full'), [503])
    for (const path of ['/messages', '/messages?q=x', '/stats']) {
      t.equal(await statusOf(service, path), 200, `${path} is served`)
    }
    rmSync(filler)
    t.equal(await statusOf(service, '/health/ready'), 200, 'ready as soon as there is free space')
    t.strictSame(await post(service, 'after'), [200])
  } finally {
    service.process.kill('SIGKILL')
    await service.ended
    run('umount', disk)
  }
})
