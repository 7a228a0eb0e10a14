import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeSync } from 'node:fs'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { Load } from '../load.ts'
import { folderOf, SECRET, type Service, sign, spawnEntry, startService, wire } from '../service.ts'

const PAGE = 4096

t.setTimeout(60_000)

/** Writes over a part of a file. */
function overwrite(path: string, at: number, bytes: Buffer): void {
  const file = openSync(path, 'r+')
  writeSync(file, bytes, 0, bytes.length, at)
  closeSync(file)
}

async function stop(t: Test, service: Service): Promise<void> {
  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0)
}

/** A file of a service that has ended, with a few thousand messages. @returns its path. */
async function fileWithMessages(t: Test): Promise<string> {
  const service = await startService(t)
  const load = new Load({
    url: () => service.url,
    connections: 32,
    prefix: 'm',
    text: 'words '.repeat(100),
  })
  await load.acknowledge(3000)
  await load.stop()
  await stop(t, service)
  return `${folderOf(t)}/app.db`
}

const noise = (pages: number) => Buffer.alloc(pages * PAGE, 'damage')

/** What can have happened to a file, and in which one of ours or of the reference's. */
const DAMAGES: Record<string, (path: string) => void> = {
  'its beginning overwritten': (path) => overwrite(path, 0, noise(1)),
  'its first page overwritten behind the header': (path) =>
    overwrite(path, 100, noise(1).subarray(100)),
  'cut off half-way': (path) =>
    truncateSync(path, Math.floor(statSync(path).size / 2 / PAGE) * PAGE),
  'pages overwritten in the middle': (path) =>
    overwrite(path, Math.floor(statSync(path).size / 2 / PAGE) * PAGE, noise(4)),
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

async function refusesToStart(t: Test, what: string): Promise<void> {
  const path = `${folderOf(t)}/app.db`
  const before = digest(path)
  const { child, stderr, ended } = spawnEntry(t, [], {
    WEBHOOK_SECRET: SECRET,
    DATABASE_URL: 'sqlite:///app.db',
    HOST: '127.0.0.1',
    PORT: '0',
  })
  child.stdout?.resume()
  t.equal(await ended, 1, what)
  t.match(stderr(), /^lyftr-webhook: DATABASE_URL: cannot open "app\.db": it is damaged [^\n]+\n$/)
  t.equal(digest(path), before, 'the file is as it was')
}

t.test('a damaged file ends the start with one line, and is left as it is', async (t) => {
  const path = await fileWithMessages(t)
  const whole = readFileSync(path)
  for (const [what, damage] of Object.entries(DAMAGES)) {
    truncateSync(path, 0)
    overwrite(path, 0, whole)
    damage(path)
    await refusesToStart(t, what)
  }
})

t.test('so does a damaged file of the older service', async (t) => {
  const path = `${folderOf(t)}/app.db`
  const database = new Database(path)
  database.exec(`
    create table messages (message_id text primary key, from_msisdn text not null, to_msisdn text not null,
      ts text not null, text text, created_at text not null);
    insert into messages
      with recursive n(i) as (values (1) union all select i + 1 from n where i < 5000)
      select 'm' || i, '+1', '+2', '2025-01-15T10:00:00Z', hex(randomblob(100)), 'x' from n`)
  database.close()
  DAMAGES['pages overwritten in the middle']?.(path)
  await refusesToStart(t, 'pages overwritten in the middle')
})

t.test(
  'damage found while it runs turns readiness off for good, and nothing more is taken',
  async (t) => {
    const path = await fileWithMessages(t)
    const service = await startService(t)
    const statusOf = async (where: string, init?: RequestInit) =>
      (await fetch(service.url + where, init)).status
    const post = (message_id: string) => {
      const body = wire({ message_id })
      return statusOf('/webhook', {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', 'x-signature': sign(body) },
      })
    }
    t.equal(await post('before'), 200)
    t.equal(await statusOf('/health/ready'), 200)

    // All but the schema: what the service has in its caches may still be answered.
    overwrite(path, 20 * PAGE, noise(statSync(path).size / PAGE - 20))
    const answer = await fetch(`${service.url}/messages?limit=100&offset=1500&q=words`)
    t.equal(answer.status, 503)
    t.strictSame(await answer.json(), { detail: 'the database is not available' })
    for (let n = 0; n < 5; n++) {
      t.equal(await statusOf('/health/ready'), 503)
      t.equal(await post(`after-${n}`), 503)
    }
    t.equal(await statusOf('/messages?limit=100&offset=1500&q=words'), 503)
    t.equal(await statusOf('/health/live'), 200)
    const told = service.log.filter(({ msg }) => /is corrupt/.test(String(msg)))
    t.match(
      told,
      [{ level: 'ERROR', cause: { message: /SQLITE_CORRUPT/ } }],
      'said once in the log',
    )
    service.process.kill('SIGTERM')
    t.equal(await service.ended, 0)
  },
)
