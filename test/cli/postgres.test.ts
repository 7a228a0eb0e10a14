import t, { type Test } from 'tap'
import { createDatabase, NO_SERVER } from '../db/postgres/server.ts'
import { runEntry, spawnEntry, startService, wire } from '../service.ts'
import { messageLines } from './message-lines.ts'

/** Starts a service on the database and returns its response bodies for several reads. */
async function responsesOf(t: Test, database: string) {
  const service = await startService(t, { DATABASE_URL: database })
  const responses = []
  for (const path of [
    '/stats',
    '/messages?limit=100',
    '/messages?limit=100&order=desc&offset=700',
    '/messages?from=%2B3&q=wort%201',
    '/messages?since=2025-01-07T00:00:00Z&until=2025-01-20T10:00:00.5Z',
  ]) {
    responses.push(await (await fetch(service.url + path)).json())
  }
  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0)
  return responses
}

t.test(
  'messages exported and imported between the stores do not change',
  { skip: NO_SERVER },
  async (t) => {
    const all = messageLines(2500)
    const [sqlite, postgres, back] = [
      'sqlite:///app.db',
      await createDatabase(t),
      'sqlite:///back.db',
    ]
    const importInto = (url: string, input: string) =>
      runEntry(t, ['import', '-'], { DATABASE_URL: url }, input)
    const exportFrom = async (url: string, ...options: string[]) =>
      (await runEntry(t, ['export', ...options], { DATABASE_URL: url })).stdout
    await importInto(sqlite, all.join('\n'))
    for (const [from, to] of [
      [sqlite, postgres],
      [postgres, back],
    ] as const) {
      const exported = await exportFrom(from)
      t.equal(
        exported,
        `${all.join('\n')}\n`,
        'exports the messages in order of arrival, byte for byte',
      )
      for (const outcome of ['created 2500, duplicate 0', 'created 0, duplicate 2500']) {
        t.match(await importInto(to, exported), { status: 0, stdout: `${outcome}, rejected 0\n` })
      }
    }
    for (const options of [
      ['--from', '+3'],
      ['--q', 'ärger', '--since', '2025-01-07T00:00:00Z'],
    ]) {
      t.equal(await exportFrom(postgres, ...options), await exportFrom(sqlite, ...options))
    }
    t.strictSame(await responsesOf(t, postgres), await responsesOf(t, sqlite))
  },
)

t.test('import lists messages that PostgreSQL cannot store', { skip: NO_SERVER }, async (t) => {
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

t.test(
  'export exits with status 0 and no error if its reader closes the pipe',
  { skip: NO_SERVER },
  async (t) => {
    const environment = { DATABASE_URL: await createDatabase(t) }
    await runEntry(t, ['import', '-'], environment, messageLines(12_000).join('\n'))
    const { child, stderr, ended } = spawnEntry(t, ['export'], environment)
    child.stdout?.once('data', () => child.stdout?.destroy())
    t.equal(await ended, 0)
    t.match(stderr(), /^database: postgres[^\n]+\n\{[^\n]+"audit":"export"[^\n]+\n$/)
  },
)
