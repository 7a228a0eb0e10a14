import { execFileSync, spawnSync } from 'node:child_process'
import { chownSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Cluster } from '../../tools/cluster.ts'
import { post, startApp, wire } from '../service.ts'

const MiB = 1024 * 1024

t.setTimeout(120_000)

function run(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** Mounts a small file system owned by the user postgres. @returns undefined if not permitted. */
function mountSmall(): string | undefined {
  if (process.getuid?.() !== 0) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'lyftr-tablespace-'))
  if (!run('mount', '-t', 'tmpfs', '-o', 'size=48m', 'none', folder)) {
    rmdirSync(folder)
    return undefined
  }
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  chownSync(folder, id('-u'), id('-g'))
  return folder
}

const folder = mountSmall()
const skip = folder === undefined && 'needs root and permission to mount a file system'

t.test('is not ready while the tablespace is full', { skip }, async (t) => {
  if (folder === undefined) return
  t.teardown(() => {
    run('umount', '-l', folder)
    rmdirSync(folder)
  })
  const cluster = await Cluster.start()
  t.teardown(() => cluster.remove())
  await cluster.query('postgres', `create tablespace small location '${folder}'`)
  await cluster.query('postgres', 'create database small tablespace small')
  const { app } = await startApp(t, { database: { kind: 'postgres', url: cluster.url('small') } })
  const ready = async () => (await app.inject('/health/ready')).statusCode
  let sent = 0
  const send = async () =>
    (await post(app, wire({ message_id: `${sent++} ${'x'.repeat(500)}` }))).statusCode
  t.equal(await send(), 200)
  t.equal(await ready(), 200)

  const ballast = join(folder, 'ballast')
  try {
    writeFileSync(ballast, Buffer.alloc(64 * MiB))
  } catch {
    // No space left on device.
  }
  while ((await send()) === 200);
  for (let probe = 0; probe < 10; probe++) t.equal(await ready(), 503, 'not ready while posts fail')
  t.equal((await app.inject('/messages')).statusCode, 200, 'reads are served')

  rmSync(ballast)
  while ((await ready()) !== 200);
  t.equal(await send(), 200)
})
