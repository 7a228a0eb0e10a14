import t, { type Test } from 'tap'
import { createDatabase, NO_SERVER } from '../db/postgres/server.ts'
import { runEntry, spawnEntry, startService, wire } from '../service.ts'
import { messageLines } from './message-lines.ts'

/** What a service on this database answers. */
async function answersOf(t: Test, database: string) {
  const service = await startService(t, { DATABASE_URL: database })
  const answers = []
  for (const path of [
    '/stats',
    '/messages?limit=100',
    '/messages?limit=100&order=desc&offset=700',
    '/messages?from=%2B3&q=wort%201',
    '/messages?since=2025-01-07T00:00:00Z&until=2025-01-20T10:00:00.5Z',
  ]) {
    answers.push(await (await fetch(service.url + path)).json())
  }
  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0)
  return answers
}

t.test(
  'messages move between the stores and back without a difference',
  { skip: NO_SERVER },
  async (t) => {
    const all = messageLines(2500)
    const [sqlite, postgres, back] = [
      'sqlite:///app.db',
      await createDatabase(t),
      'sqlite:///back.db',
    ]
    const take = (url: string, input: string) =>
      runEntry(t, ['import', '-'], { DATABASE_URL: url }, input)
    const give = async (url: string, ...options: string[]) =>
      (await runEntry(t, ['export', ...options], { DATABASE_URL: url })).stdout
    await take(sqlite, all.join('\n'))
    for (const [from, to] of [
      [sqlite, postgres],
      [postgres, back],
    ] as const) {
      const exported = await give(from)
      t.equal(exported, `${all.join('\n')}\n`, 'as they arrived, byte for byte')
      for (const outcome of ['created 2500, duplicate 0', 'created 0, duplicate 2500']) {
        t.match(await take(to, exported), { status: 0, stdout: `${outcome}, rejected 0\n` })
      }
    }
    for (const options of [
      ['--from', '+3'],
      ['--q', 'ärger', '--since', '2025-01-07T00:00:00Z'],
    ]) {
      t.equal(await give(postgres, ...options), await give(sqlite, ...options))
    }
    t.strictSame(await answersOf(t, postgres), await answersOf(t, sqlite))
  },
)

t.test('what PostgreSQL cannot hold is listed', { skip: NO_SERVER }, async (t) => {
  const url = await createDatabase(t)
  const nul = JSON.stringify({ ...JSON.parse(wire({ message_id: 'a' })), text: 'NUL \0' })
  const half = wire({ message_id: 'b' }).replace('"b"', '"\\ud83d"')
  const input = `${nul}\n${half}\n${wire({ message_id: 'c' })}`
  const { status, stdout, stderr } = await runEntry(
    t,
    ['import', '-'],
    { DATABASE_URL: url },
    input,
  )
  t.equal(status, 1)
  t.equal(stdout, 'created 1, duplicate 0, rejected 2\n')
  t.match(stderr, /\nline 1: text must[^\n]*without NUL[^\n]*\nline 2: message_id must[^\n]*\n$/)
})

t.test('a reader that has seen enough ends an export quietly', { skip: NO_SERVER }, async (t) => {
  const environment = { DATABASE_URL: await createDatabase(t) }
  await runEntry(t, ['import', '-'], environment, messageLines(12_000).join('\n'))
  const { child, stderr, ended } = spawnEntry(t, ['export'], environment)
  child.stdout?.once('data', () => child.stdout?.destroy())
  t.equal(await ended, 0)
  t.match(stderr(), /^database: postgres[^\n]+\n$/)
})
