import t, { type Test } from 'tap'
import { parseConfig } from '../../src/config.ts'
import { openStore } from '../../src/db/open.ts'
import type { NewRejectedBody } from '../../src/db/rejected-bodies.ts'
import { createDatabase, NO_SERVER } from '../db/postgres/server.ts'
import { rejectedBody } from '../db/store-suite.ts'
import {
  folderOf,
  ONE_ERROR_LINE,
  runEntry,
  SECRET,
  sign,
  spawnEntry,
  startService,
  wire,
} from '../service.ts'

const bytes = (text: string) => Uint8Array.from(Buffer.from(text))

/** Opens the store at a URL until the work is done. */
async function withStore<Result>(
  url: string,
  work: (store: Awaited<ReturnType<typeof openStore>>) => Promise<Result>,
): Promise<Result> {
  const store = await openStore(parseConfig({ DATABASE_URL: url }).database)
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

/** Returns the environment of a command on a database with these bodies, whose ids are 1, 2 and so on. */
async function prepare(url: string, bodies: NewRejectedBody[]) {
  await withStore(url, (store) => store.rejected.keep(bodies, 1000))
  return { DATABASE_URL: url, WEBHOOK_SECRET: SECRET }
}

const fileOf = (t: Test) => `sqlite:///${folderOf(t)}/app.db`

const STORES: [name: string, skip: string | false, create: (t: Test) => Promise<string>][] = [
  ['SQLite', false, async (t) => fileOf(t)],
  ['PostgreSQL', NO_SERVER, createDatabase],
]

for (const [name, skip, create] of STORES) {
  t.test(`lists, prints and replays rejected bodies with ${name}`, { skip }, async (t) => {
    const accepted = wire({ message_id: 'a', text: 'Ärger' })
    const environment = await prepare(await create(t), [
      rejectedBody({ body: bytes(accepted) }),
      rejectedBody(),
      rejectedBody({ body: bytes(accepted), problems: [], status: 415 }),
    ])
    const rejected = (...args: string[]) => runEntry(t, ['rejected', ...args], environment)
    const size = Buffer.byteLength(accepted)
    const at = '2025-01-15T10:00:05.120Z'
    const first = `1 ${at} webhook 422 ${size} body.from value_error\n`
    const third = `3 ${at} webhook 415 ${size} -\n`
    const second = `2 ${at} webhook 422 15 body.from value_error\n`
    t.match(await rejected(), { status: 0, stdout: third + second + first })
    t.match(await rejected('--id', '2', '1'), {
      status: 0,
      stdout: `{"from":"9198"}\n${accepted}\n`,
    })

    const again = 'body.message_id: message_id is required; body.to: to is required'
    const replayed = await rejected('--replay')
    t.equal(replayed.status, 1)
    const [stored, failed, duplicate] = replayed.stdout.split('\n')
    t.equal(stored, '1 stored: created 1, duplicate 0')
    t.match(failed, `2 rejected again with 422: ${again}`)
    t.equal(duplicate, '3 stored: created 0, duplicate 1')
    t.match(await rejected(), { status: 0, stdout: second })
    const message = await withStore(environment.DATABASE_URL, (store) => store.message('a'))
    t.match(message, { text: 'Ärger', source: 'webhook' })
  })
}

t.test('rejects what the route rejects, and accepts what it accepts', async (t) => {
  const valid = bytes(wire({ message_id: 'm' }))
  const headers: Record<string, string>[] = [
    {},
    { 'content-type': 'Application/JSON; charset=utf-8' },
    { 'content-type': 'application/vnd.lyftr+json;v=1', 'content-encoding': 'identity' },
    { 'content-type': ';;;' },
    { 'content-type': '' },
    { 'content-type': 'application/json, text/plain' },
    { 'content-encoding': 'gzip' },
  ]
  const bodies = headers.map((one) => rejectedBody({ headers: one, body: valid }))
  bodies.push(rejectedBody({ body: bytes('') }), rejectedBody({ body: bytes('{') }))
  const environment = await prepare(fileOf(t), bodies)
  const { status, stdout } = await runEntry(t, ['rejected', '--replay'], environment)
  t.equal(status, 1)
  const type = 'rejected again with 415: unsupported media type, expected application/json'
  const coding = 'unsupported content coding, send the body without Content-Encoding'
  t.strictSame(stdout.trimEnd().split('\n'), [
    '1 stored: created 1, duplicate 0',
    '2 stored: created 0, duplicate 1',
    '3 stored: created 0, duplicate 1',
    `4 ${type}`,
    `5 ${type}`,
    `6 ${type}`,
    `7 rejected again with 415: ${coding}`,
    '8 rejected again with 422: body: Body is empty, expected a JSON object',
    '9 rejected again with 422: body: Body is not valid JSON',
  ])
})

t.test('replays only the bodies with the given ids, oldest first', async (t) => {
  const body = bytes(wire({ message_id: 'm' }))
  const bodies = Array.from({ length: 4 }, () => rejectedBody({ body }))
  const environment = await prepare(fileOf(t), bodies)
  const args = ['rejected', '--replay', '--id', '4', '2', '--id', '4']
  t.match(await runEntry(t, args, environment), {
    status: 0,
    stdout: '2 stored: created 1, duplicate 0\n4 stored: created 0, duplicate 1\n',
  })
  const { stdout } = await runEntry(t, ['rejected'], environment)
  t.match(stdout, /^3 .*\n1 .*\n$/)
})

t.test('keeps a body whose message conflicts with a stored one', async (t) => {
  const bodies = ['one', 'other'].map((text) =>
    rejectedBody({ body: bytes(wire({ message_id: 'm', text })) }),
  )
  const environment = await prepare(fileOf(t), bodies)
  t.match(await runEntry(t, ['rejected', '--replay'], environment), {
    status: 1,
    stdout:
      '1 stored: created 1, duplicate 0\n2 kept, as its content differs from that of a stored message: created 0, duplicate 1 (1 conflicting)\n',
  })
  t.match((await runEntry(t, ['rejected'], environment)).stdout, /^2 .*\n$/)
})

t.test('ends without an error message when the reader of its output closes the pipe', async (t) => {
  const body = bytes(wire({ message_id: 'm' }))
  const bodies = Array.from({ length: 20 }, () => rejectedBody({ body }))
  const environment = await prepare(fileOf(t), bodies)
  const { child, stderr, ended } = spawnEntry(t, ['rejected', '--replay'], environment)
  child.stdout?.destroy()
  t.equal(await ended, 0)
  t.match(stderr(), /^database: .*\n$/)
})

t.test('says which source is not configured, and keeps its bodies', async (t) => {
  const body = bytes(wire({ message_id: 'm' }))
  const bodies = [
    rejectedBody({ body }),
    rejectedBody({ body, source: 'gone' }),
    rejectedBody({ body, source: 'standard' }),
  ]
  const { DATABASE_URL } = await prepare(fileOf(t), bodies)
  t.match(await runEntry(t, ['rejected', '--replay'], { DATABASE_URL }), {
    status: 1,
    stdout:
      '1 not replayed: the source webhook is not configured: set WEBHOOK_SECRET\n2 not replayed: this version has no source gone\n3 not replayed: the source standard is not configured: set STANDARD_WEBHOOKS_SECRET\n',
  })
  const { stdout } = await runEntry(t, ['rejected'], { DATABASE_URL })
  t.equal(stdout.split('\n').length, 4)
})

t.test('reads the bodies that a service has kept, also while one runs', async (t) => {
  const service = await startService(t)
  const body = wire({ message_id: 'm' })
  const response = await fetch(`${service.url}/webhook`, {
    method: 'POST',
    headers: { 'x-signature': sign(body), 'content-type': 'text/plain' },
    body,
  })
  t.equal(response.status, 415)
  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0)
  const again = await startService(t)
  const environment = { DATABASE_URL: fileOf(t), WEBHOOK_SECRET: SECRET }
  t.match(await runEntry(t, ['rejected', '--replay'], environment), {
    status: 1,
    stdout: /^1 rejected again with 415: /,
  })
  const page = await (await fetch(`${again.url}/rejected`)).json()
  t.match(page, { data: [{ id: 1, status: 415, bytes: Buffer.byteLength(body) }] })
})

t.test('exits with status 1 and one line on errors', async (t) => {
  const environment = await prepare(fileOf(t), [rejectedBody()])
  for (const args of [
    ['--id', 'x'],
    ['--id', '0'],
    ['--id', '9'],
    ['--replay', '--id', '1', '9'],
    ['more'],
  ]) {
    const { status, stderr } = await runEntry(t, ['rejected', ...args], environment)
    t.equal(status, 1, args.join(' '))
    t.match(stderr, ONE_ERROR_LINE)
  }
  const { stdout } = await runEntry(t, ['rejected'], environment)
  t.match(stdout, /^1 /, 'nothing was replayed')
})
