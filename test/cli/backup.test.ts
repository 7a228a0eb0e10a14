import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { BEFORE_SOURCES } from '../db/sqlite/downgrade.ts'
import { Load } from '../load.ts'
import { Scrape } from '../scrape.ts'
import { folderOf, ONE_ERROR_LINE, runEntry, startService, wire } from '../service.ts'

const ENVIRONMENT = { DATABASE_URL: 'sqlite:///app.db' }

/** Stores messages with these ids by `import`. */
async function importMessages(t: Test, ids: string[], environment = ENVIRONMENT): Promise<void> {
  const lines = ids.map((message_id) => wire({ message_id, text: 'Hello' }))
  const { status, stderr } = await runEntry(t, ['import', '-'], environment, lines.join('\n'))
  if (status !== 0) throw new Error(stderr)
}

/** Returns the ids of the messages in a file, in order of arrival. */
function idsIn(path: string): string[] {
  const database = new Database(path, { readonly: true })
  try {
    const ids = database.prepare<[], string>('select message_id from messages order by seq')
    return ids.pluck().all()
  } finally {
    database.close()
  }
}

t.test('backs up a consistent snapshot while messages arrive', async (t) => {
  const service = await startService(t)
  const load = new Load({ url: () => service.url, connections: 8 })
  await load.untilAcknowledged(500)
  const before = [...load.results.acknowledged]
  const result = await runEntry(t, ['backup', 'backup.db', '--verify'], ENVIRONMENT)
  const { acknowledged, lost } = await load.stop()
  t.equal(lost, 0)
  t.equal(result.status, 0, result.stderr)
  t.match(result.stdout, /^\d+ messages, \d+ bytes\nno differences in \d+ messages/)
  const path = `${folderOf(t)}/backup.db`
  const saved = new Set(idsIn(path))
  t.equal(before.filter((id) => !saved.has(id)).length, 0, 'every message acknowledged before it')
  t.ok(saved.size < acknowledged.length, 'none of the later ones')
  t.equal(statSync(path).mode & 0o777, 0o600, 'only its owner can read it')
  t.strictSame(
    readdirSync(folderOf(t)).filter((name) => name.startsWith('backup')),
    ['backup.db'],
    'one file',
  )
  const restored = await startService(t, { DATABASE_URL: 'sqlite:///backup.db' })
  const stats = await (await fetch(`${restored.url}/stats`)).json()
  t.match(stats, { total_messages: saved.size })
})

t.test('restores a backup, but no older one without --force', async (t) => {
  const folder = folderOf(t)
  await importMessages(t, ['a', 'b'])
  t.match(await runEntry(t, ['backup', 'backup.db'], ENVIRONMENT), { status: 0 })
  const backup = readFileSync(`${folder}/backup.db`)
  t.match(await runEntry(t, ['restore', 'backup.db'], ENVIRONMENT), { status: 0 })
  await importMessages(t, ['c'])
  const rejected = await runEntry(t, ['restore', 'backup.db'], ENVIRONMENT)
  t.equal(rejected.status, 1)
  t.match(
    rejected.stderr,
    /the database has 1 message that the backup lacks; --force discards them\n/,
  )
  t.strictSame(idsIn(`${folder}/app.db`), ['a', 'b', 'c'])
  const { mode } = statSync(`${folder}/app.db`)
  const forced = await runEntry(t, ['restore', 'backup.db', '--force'], ENVIRONMENT)
  t.match(forced, { status: 0, stdout: /^2 messages, \d+ bytes\n$/ })
  t.strictSame(idsIn(`${folder}/app.db`), ['a', 'b'])
  t.equal(statSync(`${folder}/app.db`).mode, mode)
  t.strictSame(readFileSync(`${folder}/backup.db`), backup, 'the backup stays as it is')
  t.match(await runEntry(t, ['verify'], ENVIRONMENT), { status: 0 })
})

t.test('restores to where no database is', async (t) => {
  await importMessages(t, ['a'])
  await runEntry(t, ['backup', 'backup.db'], ENVIRONMENT)
  const elsewhere = { DATABASE_URL: 'sqlite:///new/app.db' }
  t.match(await runEntry(t, ['restore', 'backup.db'], elsewhere), { status: 0 })
  t.strictSame(idsIn(`${folderOf(t)}/new/app.db`), ['a'])
})

const isTmpfs = existsSync('/dev/shm') && statSync('/dev/shm').dev !== statSync('.').dev

t.test(
  'restores through a symbolic link to another file system',
  { skip: !isTmpfs && '/dev/shm is not a file system of its own' },
  async (t) => {
    const other = mkdtempSync('/dev/shm/backup-test-')
    t.teardown(() => rmSync(other, { recursive: true }))
    await importMessages(t, ['a'])
    await runEntry(t, ['backup', 'backup.db'], ENVIRONMENT)
    copyFileSync(`${folderOf(t)}/backup.db`, `${other}/app.db`)
    symlinkSync(`${other}/app.db`, `${folderOf(t)}/link.db`)
    const linked = { DATABASE_URL: 'sqlite:///link.db' }
    const { status, stderr } = await runEntry(t, ['restore', 'backup.db'], linked)
    t.equal(status, 0, stderr)
    t.ok(lstatSync(`${folderOf(t)}/link.db`).isSymbolicLink())
    t.strictSame(idsIn(`${other}/app.db`), ['a'])
  },
)

t.test('does not restore while a service runs', async (t) => {
  await importMessages(t, ['a'])
  await runEntry(t, ['backup', 'backup.db'], ENVIRONMENT)
  const { url } = await startService(t)
  const { status, stderr } = await runEntry(t, ['restore', 'backup.db', '--force'], ENVIRONMENT)
  t.equal(status, 1)
  t.match(stderr, /the database is in use; stop the service first\n$/)
  t.match(await (await fetch(`${url}/stats`)).json(), { total_messages: 1 })
  t.equal((await fetch(`${url}/health/ready`)).status, 200)
})

t.test('a consumer of the feed learns that messages after its cursor are gone', async (t) => {
  await importMessages(t, ['a', 'b'])
  await runEntry(t, ['backup', 'backup.db'], ENVIRONMENT)
  await importMessages(t, ['c'])
  const first = await startService(t)
  const { next } = (await (await fetch(`${first.url}/feed`)).json()) as { next: string }
  first.process.kill('SIGTERM')
  await first.ended
  await runEntry(t, ['restore', 'backup.db', '--force'], ENVIRONMENT)
  const second = await startService(t)
  t.equal((await fetch(`${second.url}/feed?cursor=${next}`)).status, 410)
})

t.test('replaces a corrupt database with --force only', async (t) => {
  const path = `${folderOf(t)}/app.db`
  await importMessages(t, ['a'])
  await runEntry(t, ['backup', 'backup.db'], ENVIRONMENT)
  writeFileSync(path, 'x'.repeat(10_000))
  const { status, stderr } = await runEntry(t, ['restore', 'backup.db'], ENVIRONMENT)
  t.equal(status, 1)
  t.match(stderr, /the database is corrupt .*--force replaces it\n$/)
  t.match(await runEntry(t, ['restore', 'backup.db', '--force'], ENVIRONMENT), { status: 0 })
  t.strictSame(idsIn(path), ['a'])
})

t.test(
  'exits with status 1 and one line on errors, and leaves the database as it is',
  async (t) => {
    const folder = folderOf(t)
    await importMessages(t, ['a'])
    await runEntry(t, ['backup', 'backup.db'], ENVIRONMENT)
    copyFileSync(`${folder}/backup.db`, `${folder}/corrupt.db`)
    const bytes = readFileSync(`${folder}/corrupt.db`)
    writeFileSync(`${folder}/corrupt.db`, bytes.fill(0x7f, 4096, 12_288))
    const foreign = new Database(`${folder}/foreign.db`)
    foreign.exec('create table notes (body)')
    foreign.close()
    const failing = [
      ['backup', 'app.db'],
      ['backup', 'app.db-wal'],
      ['backup', 'missing/backup.db'],
      ['backup'],
      ['restore', 'missing.db'],
      ['restore', 'corrupt.db'],
      ['restore', 'corrupt.db', '--force'],
      ['restore', 'foreign.db', '--force'],
    ]
    for (const args of failing) {
      const { status, stderr } = await runEntry(t, args, ENVIRONMENT)
      t.equal(status, 1, args.join(' '))
      t.match(stderr, ONE_ERROR_LINE)
    }
    t.strictSame(idsIn(`${folder}/app.db`), ['a'])
    t.notOk(
      readdirSync(folder).some((name) => name.includes('.part')),
      'no unfinished copy is left',
    )
    const postgres = { DATABASE_URL: 'postgres://127.0.0.1:1/x' }
    for (const [command, program] of [
      ['backup', /pg_dump/],
      ['restore', /pg_restore/],
    ] as const) {
      const { status, stderr } = await runEntry(t, [command, 'backup.db'], postgres)
      t.equal(status, 1)
      t.match(stderr, program)
    }
    t.ok(existsSync(`${folder}/backup.db`))
  },
)

t.test('records the time of a backup, for a metric and a log line', async (t) => {
  const before = Math.floor(Date.now() / 1000)
  const first = await startService(t, ENVIRONMENT)
  t.equal((await Scrape.of(first)).sum('store_last_backup_timestamp_seconds'), 0)
  t.ok(first.log.some(({ msg }) => msg === 'no backup of the database is recorded'))
  const { stderr } = await runEntry(t, ['backup', 'backup.db'], ENVIRONMENT)
  const audit = stderr.split('\n').filter((line) => line.startsWith('{'))
  t.match(
    audit.map((line) => JSON.parse(line)),
    [{ level: 'INFO', audit: 'backup', messages: 0, bytes: Number }],
  )
  first.process.kill('SIGTERM')
  await first.ended

  const service = await startService(t, ENVIRONMENT)
  const at = (await Scrape.of(service)).sum('store_last_backup_timestamp_seconds')
  t.ok(at >= before && at <= Date.now() / 1000, String(at))
  t.match(
    service.log.find(({ msg }) => msg === 'last backup of the database'),
    { last_backup: new Date(at * 1000).toISOString(), age_hours: 0 },
  )
})

t.test('tells if the time of a complete backup cannot be recorded', async (t) => {
  await importMessages(t, ['a'])
  const locking = new Database(`${folderOf(t)}/app.db`)
  locking.exec('begin immediate')
  t.teardown(() => locking.close())
  const { status, stderr } = await runEntry(t, ['backup', 'backup.db'], ENVIRONMENT)
  t.equal(status, 1)
  t.match(stderr, /cannot record the time of the backup, which is complete: [^\n]+locked\n$/)
  t.strictSame(idsIn(`${folderOf(t)}/backup.db`), ['a'])
})

t.test('backs up a file before a migration, unless the setting says no', async (t) => {
  await importMessages(t, ['a', 'b'])
  const file = `${folderOf(t)}/app.db`
  const backup = `${file}.0003-sender-runs.backup`
  const downgrade = () => {
    const database = new Database(file)
    database.exec(BEFORE_SOURCES)
    database.close()
  }
  downgrade()
  const off = await startService(t, { ...ENVIRONMENT, BACKUP_BEFORE_MIGRATION: 'false' })
  off.process.kill('SIGTERM')
  await off.ended
  t.notOk(existsSync(backup))

  downgrade()
  const service = await startService(t, ENVIRONMENT)
  t.match(
    service.log.find(({ msg }) => msg === 'backed up the database before its migration'),
    { file: backup },
  )
  t.strictSame(idsIn(backup), ['a', 'b'])
  service.process.kill('SIGTERM')
  await service.ended
  rmSync(backup)
  const again = await startService(t, ENVIRONMENT)
  t.notOk(existsSync(backup), 'not without a migration')
  again.process.kill('SIGTERM')
  await again.ended

  downgrade()
  mkdirSync(backup)
  const { status, stderr } = await runEntry(t, ['serve'], { ...ENVIRONMENT, WEBHOOK_SECRET: 'x' })
  t.equal(status, 1)
  t.match(stderr, ONE_ERROR_LINE)
  t.match(stderr, 'a migration needs it, unless BACKUP_BEFORE_MIGRATION is false')
  rmSync(backup, { recursive: true })
  t.strictSame(idsIn(file), ['a', 'b'], 'the file is unchanged')
})
