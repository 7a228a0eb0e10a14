import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { freePort } from '../../tools/free-port.ts'
import {
  folderOf,
  type Message,
  runEntry,
  sign,
  spawnEntry,
  startService,
  wire,
} from '../service.ts'

/** Posts a message to a service. */
async function send(t: Test, url: string, message: Message): Promise<void> {
  const body = wire(message)
  const headers = { 'content-type': 'application/json', 'x-signature': sign(body) }
  const { status } = await fetch(`${url}/webhook`, { method: 'POST', body, headers })
  t.equal(status, 200)
}

/** Starts the command; `shown` resolves with its first lines as soon as there are so many. */
function startTail(t: Test, url: string, args: string[], environment: Record<string, string> = {}) {
  const { child, stderr, ended } = spawnEntry(t, ['tail', '--url', url, ...args], environment)
  if (!child.stdout) throw new Error('the command has no standard output')
  const { stdout } = child
  let text = ''
  stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more
  })
  const lines = () => text.split('\n').slice(0, -1)
  const shown = async (count: number): Promise<string[]> => {
    while (lines().length < count) {
      const status = await Promise.race([once(stdout, 'data').then(() => undefined), ended])
      if (status !== undefined) throw new Error(`the command ended with ${status}: ${stderr()}`)
    }
    return lines()
  }
  return { child, stdout, stderr, ended, lines, shown }
}

/** Returns the ids of messages in the lines of `--json`. */
function idsOf(lines: string[]): string[] {
  return lines.map((line) => JSON.parse(line).message_id)
}

/** Starts a server in place of the service, for responses that the service gives in trouble only. */
async function startServer(
  t: Test,
  respond: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(respond).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the server has no port')
  return `http://127.0.0.1:${address.port}`
}

const EVENT = { 'content-type': 'text/event-stream' }

t.test('prints messages as they are posted, from now on, until SIGINT', async (t) => {
  const { url } = await startService(t)
  await send(t, url, { message_id: 'old', text: 'old' })
  const tail = startTail(t, url, [])
  // The first message that is shown tells that the command is connected.
  for (let number = 1; tail.lines().length === 0; number++) {
    await send(t, url, { message_id: `early-${number}`, text: `early ${number}` })
  }
  await send(t, url, { message_id: 'a', from: '+1', to: '+2', text: 'Grüße 😀' })
  while (!tail.lines().at(-1)?.includes('Grüße')) await tail.shown(tail.lines().length + 1)
  const lines = tail.lines()
  t.equal(lines.pop(), '2025-01-15T10:00:00Z +1 → +2 Grüße 😀')
  const first = Number(/early (\d+)$/.exec(lines[0] ?? '')?.[1])
  t.strictSame(
    lines.map((line) => line.replace(/.* \+14155550100 /, '')),
    lines.map((_, index) => `early ${first + index}`),
  )
  tail.child.kill('SIGINT')
  t.equal(await tail.ended, 0)
  t.equal(tail.stderr(), '')
})

t.test('begins with the first message by --all, after a cursor by --cursor', async (t) => {
  const { url } = await startService(t)
  for (const id of ['a', 'b', 'c']) await send(t, url, { message_id: id })
  t.strictSame(idsOf(await startTail(t, url, ['--all', '--json']).shown(3)), ['a', 'b', 'c'])
  const { next } = JSON.parse(await (await fetch(`${url}/feed?limit=1`)).text())
  const after = startTail(t, url, ['--json', '--cursor', next])
  t.strictSame(idsOf(await after.shown(2)), ['b', 'c'])
  t.match(await runEntry(t, ['tail', '--all', '--cursor', next]), {
    status: 1,
    stderr: /^lyftr-webhook: .*'--all'.*'--cursor.*\n$/,
  })
  const settings = { HOST: '127.0.0.1', PORT: new URL(url).port }
  const { child } = spawnEntry(t, ['tail', '--all', '--json'], settings)
  const [text] = await once(child.stdout ?? child, 'data')
  t.match(String(text), /^{"message_id":"a",/)
})

t.test('--json prints each message exactly as the service sends it', async (t) => {
  const { url } = await startService(t)
  await send(t, url, { message_id: 'a', text: 'two\nlines \u2028 \x1b[31m' })
  const [line = ''] = await startTail(t, url, ['--all', '--json']).shown(1)
  const page = await (await fetch(`${url}/feed`)).text()
  t.equal(page.split(',"next":')[0], `{"data":[${line}]`)
})

t.test('shows the messages that match all filters', async (t) => {
  const { url } = await startService(t)
  const messages = [
    { message_id: 'a', from: '+1', text: 'Hello' },
    { message_id: 'b', from: '+2', text: 'Hello' },
    { message_id: 'c', from: '+1', text: 'other' },
    { message_id: 'd', from: '+1', to: '+3', text: 'Hello' },
    { message_id: 'e', from: '+1', text: 'say hello & more' },
  ]
  for (const message of messages) await send(t, url, message)
  const filters = ['--from', '+1', '--to', '+14155550100', '--q', 'HELLO']
  const details = ['--source', 'webhook', '--type', 'text']
  const tail = startTail(t, url, ['--all', '--json', ...filters, ...details])
  t.strictSame(idsOf(await tail.shown(2)), ['a', 'e'])
  const others = startTail(t, url, ['--all', '--json', '--q', 'hello & m'])
  t.strictSame(idsOf(await others.shown(1)), ['e'])
})

t.test('escapes control characters, and shows the type unless it is text', async (t) => {
  const environment = { DATABASE_URL: `sqlite:///${folderOf(t)}/app.db` }
  const fields = { to: 'shop\x1b[2J', ts: '2025-01-15T10:00:00Z', source: 'meta', payload: null }
  const lines = [
    {
      ...fields,
      message_id: 'a',
      from: '1',
      type: 'text',
      text: '\x1b]0;x\x07 1\n2\t3\r\x7f\x9b\u202e',
    },
    { ...fields, message_id: 'b', from: '2', type: 'image', text: null },
  ]
  const input = lines.map((line) => JSON.stringify(line)).join('\n')
  t.match(await runEntry(t, ['import', '-'], environment, input), { status: 0 })
  const { url } = await startService(t, environment)
  t.strictSame(await startTail(t, url, ['--all']).shown(2), [
    '2025-01-15T10:00:00Z 1 → shop\\u001b[2J \\u001b]0;x\\u0007 1\\n2\\t3\\r\\u007f\\u009b\\u202e',
    '2025-01-15T10:00:00Z 2 → shop\\u001b[2J [image]',
  ])
  const colored = await startTail(t, url, ['--all'], { FORCE_COLOR: '1' }).shown(2)
  t.match(colored[1], '\x1b[33m[image]\x1b[39m')
})

t.test('survives restarts of the service and prints every message once', async (t) => {
  const port = String(await freePort())
  const environment = { PORT: port }
  const url = `http://127.0.0.1:${port}`
  const tail = startTail(t, url, ['--all', '--json'])
  while (!tail.stderr()) await once(tail.child.stderr ?? tail.child, 'data')
  const ids: string[] = []
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const service = await startService(t, environment)
    for (let number = 1; number <= 3; number++) {
      const id = `${ids.length}`
      ids.push(id)
      await send(t, url, { message_id: id })
    }
    t.strictSame(idsOf(await tail.shown(ids.length)), ids)
    const id = `${ids.length}`
    ids.push(id)
    await send(t, url, { message_id: id })
    service.process.kill(signal)
    await service.ended
  }
  await startService(t, environment)
  t.strictSame(idsOf(await tail.shown(ids.length)), ids)
  const reasons = tail.stderr().trimEnd().split('\n')
  t.equal(reasons[0], `lyftr-webhook: cannot reach ${url}: connection refused; trying again`)
  t.ok(reasons.length <= 3, tail.stderr())
})

t.test('sends the first token; exits with status 1 and one line when it is rejected', async (t) => {
  const { url } = await startService(t, { API_TOKEN: 'right-token' })
  for (const [args, environment, status] of [
    [[], {}, 401],
    [[], { API_TOKEN: 'wrong-token' }, 401],
    [['--cursor', '?'], { API_TOKEN: 'right-token' }, 422],
  ] as const) {
    const result = await runEntry(t, ['tail', '--url', url, ...args], environment)
    t.match(result, { status: 1, stdout: '' })
    t.match(result.stderr, new RegExp(`^lyftr-webhook: GET /feed ${status}: [^\\n{]+\\n$`))
  }
  await send(t, url, { message_id: 'a' })
  writeFileSync(`${folderOf(t)}/token`, 'right-token,other-token\n')
  const tail = startTail(t, url, ['--all', '--json'], { API_TOKEN_FILE: 'token' })
  t.strictSame(idsOf(await tail.shown(1)), ['a'])
})

t.test('exits with status 1 when --url is not an origin or not the service', async (t) => {
  t.match(await runEntry(t, ['tail', '--url', 'http://localhost/feed']), {
    status: 1,
    stderr: /^lyftr-webhook: --url: expected an origin [^\n]+\n$/,
  })
  const page = await startServer(t, (_, response) => response.end('<html>'))
  t.match(await runEntry(t, ['tail', '--url', page]), {
    status: 1,
    stderr: /^lyftr-webhook: GET \/feed 200: expected a stream of events[^\n]+\n$/,
  })
})

t.test('warns when the cursor is stale, and continues with the oldest message', async (t) => {
  const { url } = await startService(t)
  for (const id of ['a', 'b']) await send(t, url, { message_id: id })
  const tail = startTail(t, url, ['--json', '--cursor', '1000~nqxbGmYN'])
  t.strictSame(idsOf(await tail.shown(2)), ['a', 'b'])
  t.equal(
    tail.stderr(),
    'lyftr-webhook: messages after the cursor were removed; continuing with the oldest message\n',
  )
})

t.test('ends with status 0 when the reader closes the pipe', async (t) => {
  const { url } = await startService(t)
  await send(t, url, { message_id: 'a' })
  const tail = startTail(t, url, ['--all'])
  await tail.shown(1)
  tail.stdout.destroy()
  await send(t, url, { message_id: 'b' })
  t.equal(await tail.ended, 0)
  t.equal(tail.stderr(), '')
})

t.test('tries again after 503 and 429, and says so once', async (t) => {
  const statuses = [503, 429]
  const url = await startServer(t, (_, response) => {
    const status = statuses.shift()
    if (status) response.writeHead(status).end('{"detail":"later\\u001b"}')
    else response.writeHead(200, EVENT).write('data: {"message_id":"a"}\n\n')
  })
  const tail = startTail(t, url, ['--json'])
  t.strictSame(idsOf(await tail.shown(1)), ['a'])
  t.equal(tail.stderr(), 'lyftr-webhook: GET /feed 503: later\\u001b; trying again\n')
})

t.test('reconnects after the last id when nothing arrives for 45 s', async (t) => {
  const hook = `${folderOf(t)}/short-45-s.mjs`
  writeFileSync(
    hook,
    `const { setTimeout } = globalThis
     globalThis.setTimeout = (call, ms, ...args) => setTimeout(call, ms === 45_000 ? 300 : ms, ...args)`,
  )
  const requests: IncomingMessage[] = []
  const url = await startServer(t, (request, response) => {
    requests.push(request)
    if (requests.length === 1) response.writeHead(200, EVENT).write(': keep-alive\nid: 7~x\n\n')
    else response.writeHead(200, EVENT).write('data: {"message_id":"a"}\n\n')
  })
  const tail = startTail(t, url, ['--json'], { NODE_OPTIONS: `--import ${hook}` })
  t.strictSame(idsOf(await tail.shown(1)), ['a'])
  t.match(tail.stderr(), `cannot reach ${url}: nothing received for 45 s; trying again\n`)
  t.match(requests[0]?.url, '/feed?after=now')
  t.equal(requests[1]?.headers['last-event-id'], '7~x')
})
