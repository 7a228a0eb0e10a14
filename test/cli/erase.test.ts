import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { until } from '../../tools/until.ts'
import { databases } from '../databases.ts'
import { Load } from '../load.ts'
import {
  folderOf,
  ONE_ERROR_LINE,
  runEntry,
  type Service,
  sign,
  startService,
  wire,
} from '../service.ts'
import { assertVerified } from '../verified.ts'

/** The person whose messages are erased; the text has trigrams that no other text has. */
const PERSON = '+919812345670'
const TEXT = 'Geheim ☃☄★☂'

t.setTimeout(120_000)

async function post(service: Service, body: string): Promise<number> {
  const headers = { 'content-type': 'application/json', 'x-signature': sign(body) }
  return (await fetch(`${service.url}/webhook`, { method: 'POST', headers, body })).status
}

/** A page of messages, rejected bodies or senders. */
interface Page {
  data: unknown[]
  total?: number
}

async function getPage(service: Service, path: string): Promise<Page> {
  const response = await fetch(service.url + path)
  return JSON.parse(await response.text())
}

/** Returns the parts of `needles` that the files of the test's SQLite database contain. */
function foundInFiles(t: Test, needles: readonly string[]): string[] {
  const files = ['app.db', 'app.db-wal'].map((name) => readFileSync(`${folderOf(t)}/${name}`))
  return needles.filter((needle) => files.some((file) => file.includes(needle)))
}

for (const { name, make } of databases) {
  t.test(`${name}: erases a person from everything while messages arrive`, async (t) => {
    const database = await make(t)
    const environment = { DATABASE_URL: database.url }
    const service = await startService(t, environment)
    const load = new Load({ url: () => service.url, connections: 4 })
    const idOf = (n: number) => `erased-id-${n}`
    for (let n = 0; n < 40; n++) {
      const message = { message_id: idOf(n), from: PERSON, text: `${TEXT} ${n}` }
      t.equal(await post(service, wire(message)), 200)
    }
    // Rejected: one names the person, one escapes the number, the others only seem to name it.
    for (const from of [PERSON, '919812345670', '+9198123456701', '+1']) {
      t.equal(await post(service, JSON.stringify({ from, message_id: 'rejected' })), 422)
    }
    t.equal(await post(service, `{"from":"\\u002b9198\\u00312345670"}`), 422)
    const rejected = async () => (await getPage(service, '/rejected')).data.length
    while ((await rejected()) < 5) await load.untilAcknowledged(10)
    await load.untilAcknowledged(500)

    const args = ['erase', '--from', PERSON]
    const dry = await runEntry(t, [...args, '--dry-run'], environment)
    t.match(dry, { status: 0, stdout: '40 messages, 3 rejected bodies\n' }, dry.stderr)
    const unconfirmed = await runEntry(t, args, environment)
    t.match(unconfirmed, { status: 1, stderr: /add --yes to skip the confirmation\n$/ })
    t.equal((await getPage(service, `/messages?from=%2B${PERSON.slice(1)}`)).total, 40)

    const { status, stdout, stderr } = await runEntry(t, [...args, '--yes'], environment)
    t.equal(status, 0, stderr)
    t.equal(stdout, 'erased: 40 messages, 3 rejected bodies\n')
    const audit = stderr.split('\n').filter((line) => line.includes('"audit"'))
    t.match(
      audit.map((line) => JSON.parse(line)),
      [{ level: 'INFO', audit: 'erase', messages: 40, rejected_bodies: 3 }],
    )
    t.notMatch(stderr, PERSON)

    t.match(await getPage(service, `/messages?from=%2B${PERSON.slice(1)}`), { total: 0, data: [] })
    t.match(await getPage(service, '/messages?q=geheim'), { total: 0 })
    t.equal((await fetch(`${service.url}/messages/${idOf(3)}`)).status, 404)
    t.equal(await rejected(), 2)
    const { data } = await getPage(service, `/senders?q=%2B${PERSON.slice(1)}`)
    t.strictSame(data, [])
    t.equal(await post(service, wire({ message_id: idOf(3), from: PERSON })), 200)
    t.match(await getPage(service, '/messages?q=geheim'), { total: 0 }, 'stays erased')
    t.equal((await fetch(`${service.url}/messages/${idOf(3)}`)).status, 404)

    const { lost, acknowledged } = await load.stop()
    t.equal(lost, 0)
    service.process.kill('SIGTERM')
    t.equal(await service.ended, 0)
    await assertVerified(t, environment, acknowledged.length)
    t.strictSame((await database.ids()).sort(), acknowledged.sort(), 'all other messages are left')
  })

  t.test(`${name}: erases messages by their ids, stored or not`, async (t) => {
    const { url } = await make(t)
    const environment = { DATABASE_URL: url, WEBHOOK_SECRET: 'testsecret' }
    const lines = ['a', 'b', 'c'].map((message_id) => wire({ message_id })).join('\n')
    await runEntry(t, ['import', '-'], environment, lines)
    const erased = await runEntry(t, ['erase', '--yes', '--id', 'a', 'c', 'later'], environment)
    t.match(erased, { status: 0, stdout: 'erased: 2 messages, 0 rejected bodies\n' }, erased.stderr)
    const again = await runEntry(
      t,
      ['import', '-'],
      environment,
      `${lines}\n${wire({ message_id: 'later' })}`,
    )
    t.match(again.stdout, 'created 0, duplicate 4')
    t.match(await runEntry(t, ['export'], environment), { stdout: /^\{"message_id":"b"[^\n]*\n$/ })
    const repeated = await runEntry(t, ['erase', '--yes', '--id', 'a'], environment)
    t.match(repeated, { status: 0, stdout: 'erased: 0 messages, 0 rejected bodies\n' })
  })
}

t.test('overwrites what it erases in a SQLite file that is in use', async (t) => {
  const environment = { DATABASE_URL: 'sqlite:///app.db' }
  const service = await startService(t, { ...environment, MAX_REJECTED: '1' })
  const needles = [PERSON, PERSON.slice(1), 'erased-id', 'Geheim', 'geheim', '☃☄★', '☄★☂']
  const load = new Load({ url: () => service.url, connections: 4 })
  for (let n = 0; n < 100; n++) {
    const message = { message_id: `erased-id-${n}`, from: PERSON, text: `${TEXT} ${n}` }
    t.equal(await post(service, wire(message)), 200)
    if (n % 20 === 0) await load.untilAcknowledged(700)
  }
  // The service itself deletes this body when it keeps the next one.
  const body = `{"from":"${PERSON}","text":"${'Geheim '.repeat(6000)}"}`
  for (const rejected of [body, '{}']) {
    t.equal(await post(service, rejected), 422)
    const isKept = async () => {
      const { data } = await getPage(service, '/rejected')
      return JSON.stringify(data).includes(`"bytes":${rejected.length}`)
    }
    await until('the body is kept', isKept)
  }
  await load.untilAcknowledged(5000)
  await load.stop()
  // Not all trigrams are stored as they are, as FTS5 omits what successive terms have in common.
  t.strictSame(foundInFiles(t, needles).slice(0, 4), needles.slice(0, 4), 'present before')
  const { status, stderr } = await runEntry(t, ['erase', '--from', PERSON, '--yes'], environment)
  t.equal(status, 0, stderr)
  t.strictSame(foundInFiles(t, needles), [], 'absent after')
})

t.test('rejects missing or contradictory options in one line', async (t) => {
  const environment = { DATABASE_URL: 'sqlite:///app.db' }
  for (const args of [[], ['--from', '+1', '--id', 'a'], ['--id']]) {
    const { status, stderr } = await runEntry(t, ['erase', '--yes', ...args], environment)
    t.equal(status, 1)
    t.match(stderr, ONE_ERROR_LINE)
  }
  const missing = await runEntry(t, ['erase', '--from', '+1'], environment)
  t.match(missing.stderr, /there is no file app\.db\n$/)
})
