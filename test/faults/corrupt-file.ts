import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeSync } from 'node:fs'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { until } from '../../tools/until.ts'
import { Load } from '../load.ts'
import { folderOf, SECRET, type Service, sign, spawnEntry, startService, wire } from '../service.ts'

const PAGE = 4096

t.setTimeout(60_000)

/** Overwrites part of a file, starting at offset `at`. */
function overwrite(path: string, at: number, bytes: Buffer): void {
  const file = openSync(path, 'r+')
  writeSync(file, bytes, 0, bytes.length, at)
  closeSync(file)
}

async function stop(t: Test, service: Service): Promise<void> {
  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0)
}

/** Creates a database with a few thousand messages, and stops its service. @returns its path. */
async function fileWithMessages(t: Test): Promise<string> {
  const service = await startService(t)
  const load = new Load({
    url: () => service.url,
    connections: 32,
    prefix: 'm',
    text: 'words '.repeat(100),
  })
  await load.untilAcknowledged(3000)
  await load.stop()
  await stop(t, service)
  return `${folderOf(t)}/app.db`
}

const noise = (pages: number) => Buffer.alloc(pages * PAGE, 'damage')

/** Kinds of corruption, by name. */
const CORRUPTIONS: Record<string, (path: string) => void> = {
  'first page overwritten': (path) => overwrite(path, 0, noise(1)),
  'first page overwritten after the header': (path) => overwrite(path, 100, noise(1).subarray(100)),
  'truncated to half its size': (path) =>
    truncateSync(path, Math.floor(statSync(path).size / 2 / PAGE) * PAGE),
  'pages in the middle overwritten': (path) =>
    overwrite(path, Math.floor(statSync(path).size / 2 / PAGE) * PAGE, noise(4)),
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

/** Asserts that the service exits with one line on standard error and does not change the file. */
async function assertStartFails(t: Test, corruption: string): Promise<void> {
  const path = `${folderOf(t)}/app.db`
  const before = digest(path)
  const { child, stderr, ended } = spawnEntry(t, [], {
    WEBHOOK_SECRET: SECRET,
    DATABASE_URL: 'sqlite:///app.db',
    HOST: '127.0.0.1',
    PORT: '0',
  })
  child.stdout?.resume()
  t.equal(await ended, 1, corruption)
  t.match(stderr(), /^lyftr-webhook: DATABASE_URL: cannot open "app\.db": it is corrupt [^\n]+\n$/)
  t.equal(digest(path), before, 'the file is unchanged')
}

t.test('exits with one line on a corrupt file and leaves it unchanged', async (t) => {
  const path = await fileWithMessages(t)
  const whole = readFileSync(path)
  for (const [name, corrupt] of Object.entries(CORRUPTIONS)) {
    truncateSync(path, 0)
    overwrite(path, 0, whole)
    corrupt(path)
    await assertStartFails(t, name)
  }
})

t.test('exits with one line on a corrupt file of the legacy Python service', async (t) => {
  const path = `${folderOf(t)}/app.db`
  const database = new Database(path)
  database.exec(`
    create table messages (message_id text primary key, from_msisdn text not null, to_msisdn text not null,
      ts text not null, text text, created_at text not null);
    insert into messages
      with recursive n(i) as (values (1) union all select i + 1 from n where i < 5000)
      select 'm' || i, '+1', '+2', '2025-01-15T10:00:00Z', hex(randomblob(100)), 'x' from n`)
  database.close()
  CORRUPTIONS['pages in the middle overwritten']?.(path)
  await assertStartFails(t, 'pages in the middle overwritten')
})

t.test(
  'after it finds corruption at run time, is not ready and rejects messages until it exits',
  async (t) => {
    const path = await fileWithMessages(t)
    const service = await startService(t)
    const statusOf = async (path: string, init?: RequestInit) =>
      (await fetch(service.url + path, init)).status
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

    // The first pages, which contain the schema, stay valid. Pages in the cache may still be read.
    overwrite(path, 20 * PAGE, noise(statSync(path).size / PAGE - 20))
    const response = await fetch(`${service.url}/messages?limit=100&offset=1500&q=words`)
    t.equal(response.status, 503)
    t.strictSame(await response.json(), { detail: 'the database is not available' })
    for (let n = 0; n < 5; n++) {
      t.equal(await statusOf('/health/ready'), 503)
      t.equal(await post(`after-${n}`), 503)
    }
    t.equal(await statusOf('/messages?limit=100&offset=1500&q=words'), 503)
    t.equal(await statusOf('/health/live'), 200)
    const logged = () => service.log.filter(({ msg }) => /is corrupt/.test(String(msg)))
    await until('the log reports it', () => logged().length > 0)
    t.match(logged(), [{ level: 'ERROR', cause: { message: /SQLITE_CORRUPT/ } }], 'logged once')
    service.process.kill('SIGTERM')
    t.equal(await service.ended, 0)
  },
)
