import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { freePort } from '../../tools/free-port.ts'
import { ONE_ERROR_LINE, runEntry, SECRET, spawnEntry, startService } from '../service.ts'
import { ENTRY, startOnTerminal } from './pseudo-terminal.ts'

const ENVIRONMENT = { WEBHOOK_SECRET: SECRET }

/** Posts that reached a server, by message id. */
type Posts = Map<string, number>

/**
 * Starts a server in place of the service, for responses that the service gives under load only.
 * @param respond responds to the nth post of a message, counted from 1.
 */
async function startServer(
  t: Test,
  respond: (response: ServerResponse, attempt: number, posts: Posts) => void,
): Promise<{ url: string; posts: Posts; sockets: Set<IncomingMessage['socket']> }> {
  const posts: Posts = new Map()
  const sockets = new Set<IncomingMessage['socket']>()
  const server = createServer(async (request, response) => {
    sockets.add(request.socket)
    const { message_id } = JSON.parse(await text(request))
    const attempt = (posts.get(message_id) ?? 0) + 1
    posts.set(message_id, attempt)
    respond(response, attempt, posts)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the server has no port')
  return { url: `http://127.0.0.1:${address.port}`, posts, sockets }
}

t.test('sends one message and prints the path, the status and the body', async (t) => {
  const { url } = await startService(t)
  const options = ['--id', 'a', '--from', '+1', '--to', '+2', '--text', 'Grüße 😀']
  const { status, stdout, stderr } = await runEntry(
    t,
    ['send', '--url', url, ...options],
    ENVIRONMENT,
  )
  t.equal(stderr, '')
  t.equal(stdout, 'POST /webhook 200\n{"status":"ok"}\n')
  t.equal(status, 0)
  t.match(await (await fetch(`${url}/messages/a`)).json(), {
    from_msisdn: '+1',
    to_msisdn: '+2',
    text: 'Grüße 😀',
  })
})

t.test('sends an id beyond ASCII in the header of a standard webhook', async (t) => {
  const environment = { STANDARD_WEBHOOKS_SECRET: `whsec_${Buffer.alloc(32).toString('base64')}` }
  const { url } = await startService(t, environment)
  const options = ['--source', 'standard', '--url', url, '--id']
  for (const id of ['ä', 'grüße 😀']) {
    t.match(await runEntry(t, ['send', ...options, id], environment), { status: 0, stderr: '' })
    t.equal((await fetch(`${url}/messages/${encodeURIComponent(id)}`)).status, 200)
  }
})

t.test('exits with status 1 and prints the body when a message is rejected', async (t) => {
  const { url } = await startService(t)
  const wrong = await runEntry(t, ['send', '--url', `${url}/`], { WEBHOOK_SECRET: 'other' })
  t.strictSame(wrong, {
    status: 1,
    stdout: 'POST /webhook 401\n{"detail":"invalid signature"}\n',
    stderr: '',
  })
  const long = ['--text', 'x'.repeat(4097)]
  const invalid = await runEntry(t, ['send', '--url', url, ...long], ENVIRONMENT)
  t.equal(invalid.status, 1)
  t.match(invalid.stdout, /^POST \/webhook 422\n.*text must be at most 4096 characters.*\n$/)
})

t.test('takes HOST, PORT and with --dev the secret from the settings of the service', async (t) => {
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    const { url } = await startService(t, { HOST: host })
    const settings = { HOST: host, PORT: new URL(url).port }
    t.match(await runEntry(t, ['send', '--dev', '--source', 'webhook'], settings), {
      status: 0,
      stdout: 'POST /webhook 200\n{"status":"ok"}\n',
    })
  }
})

t.test('sends many messages with distinct ids and prints a summary', async (t) => {
  const { url } = await startService(t)
  for (const options of [[], ['--rate', '5000'], ['--rate', '62.5']]) {
    const { status, stdout, stderr } = await runEntry(
      t,
      ['send', '--url', url, '--count', '25', ...options],
      ENVIRONMENT,
    )
    t.equal(status, 0, stderr)
    t.match(
      stdout,
      /^sent 25 messages in \d+\.\d s: \d+\.\d messages\/s\nresponses: 200: 25; retries: 0\nresponse time: p50 \d+\.\d ms, p95 \d+\.\d ms, p99 \d+\.\d ms\n$/,
    )
    t.equal(stderr, '', 'shows no progress bar without a terminal')
  }
  t.match(await (await fetch(`${url}/stats`)).json(), { total_messages: 75 })
  await runEntry(t, ['send', '--url', url, '--count', '2', '--id', 'mine'], ENVIRONMENT)
  for (const id of ['mine-1', 'mine-2']) {
    t.equal((await fetch(`${url}/messages/${id}`)).status, 200)
  }
})

t.test('keeps at most 16 connections open and reuses them', async (t) => {
  const { url, posts, sockets } = await startServer(t, (response) => response.end('{}'))
  await runEntry(t, ['send', '--url', url, '--count', '400'], ENVIRONMENT)
  t.equal(posts.size, 400)
  t.ok(sockets.size <= 16, `${sockets.size} connections`)
})

t.test('exits with status 1 if any of many messages is not accepted', async (t) => {
  const { url } = await startServer(t, (response, _, posts) => {
    response.writeHead(posts.size === 1 ? 500 : 200).end()
  })
  const { status, stdout } = await runEntry(t, ['send', '--url', url, '--count', '9'], ENVIRONMENT)
  t.equal(status, 1)
  t.match(stdout, /^sent 9 messages .*\nresponses: 200: 8, 500: 1; retries: 0\n/)
})

t.test('retries 429 and 503 with Retry-After, and counts the retries', async (t) => {
  const { url, posts } = await startServer(t, (response, attempt) => {
    const statuses = [429, 503]
    const past = new Date(0).toUTCString()
    response.setHeader('retry-after', attempt === 1 ? '0' : past)
    response.writeHead(statuses[attempt - 1] ?? 200).end()
  })
  const { status, stdout } = await runEntry(t, ['send', '--url', url, '--count', '3'], ENVIRONMENT)
  t.equal(status, 0)
  t.match(stdout, /^sent 3 messages .*\nresponses: 200: 3, 429: 3, 503: 3; retries: 6\n/)
  t.strictSame([...posts.values()], [3, 3, 3])
})

t.test('gives up after 5 retries, and does not retry without Retry-After', async (t) => {
  const busy = await startServer(t, (response) => {
    response.writeHead(503, { 'retry-after': '0' }).end()
  })
  const send = (url: string) => runEntry(t, ['send', '--url', url, '--count', '2'], ENVIRONMENT)
  const { status, stdout } = await send(busy.url)
  t.equal(status, 1)
  t.match(stdout, /^sent 2 messages .*\nresponses: 503: 12; retries: 10\n/)
  const broken = await startServer(t, (response) => response.writeHead(503).end())
  t.match((await send(broken.url)).stdout, /\nresponses: 503: 2; retries: 0\n/)
})

t.test('sends a message again whose connection was closed without a response', async (t) => {
  const { url } = await startServer(t, (response, attempt) => {
    if (attempt === 1) response.destroy()
    else response.end()
  })
  const { status, stdout } = await runEntry(t, ['send', '--url', url, '--count', '2'], ENVIRONMENT)
  t.equal(status, 0)
  t.match(stdout, /\nresponses: 200: 2; retries: 2\n/)
})

t.test('Ctrl-C prints the summary so far and ends at once', async (t) => {
  let reached = () => {}
  const allInFlight = new Promise<void>((resolve) => {
    reached = resolve
  })
  // Of 16 connections each waits for a response once there were 20: so the client has read all of these.
  const { url } = await startServer(t, (response, _, posts) => {
    if (posts.size <= 20) response.end()
    if (posts.size === 36) reached()
  })
  const args = ['send', '--url', url, '--count', '1000']
  const { child, stderr, ended } = spawnEntry(t, args, ENVIRONMENT)
  let stdout = ''
  child.stdout?.setEncoding('utf8').on('data', (more: string) => {
    stdout += more
  })
  await allInFlight
  child.kill('SIGINT')
  t.equal(await ended, 130)
  t.match(stdout, /^sent 20 messages .*\nresponses: 200: 20; retries: 0\nresponse time: .*\n$/)
  t.equal(stderr(), '')
})

t.test('shows a progress bar on a terminal, where Ctrl-C prints the summary', async (t) => {
  const { url } = await startServer(t, (response, _, posts) => {
    if (posts.size <= 500) response.end()
  })
  const send = (count: number) =>
    startOnTerminal(t, `exec node ${ENTRY} send --url ${url} --count ${count}`, ENVIRONMENT)
  const whole = send(100)
  await whole.shown(/sending .* 100 % \| 100 of 100 messages/)
  await whole.shown(/sent 100 messages in /)
  t.equal(await whole.ended, 0)
  const partial = send(1000)
  await partial.shown(/sending .* \d+ % \| \d+ of 1,000 messages/)
  partial.interrupt()
  await partial.shown(/sent \d+ messages in /)
  t.equal(await partial.ended, 130)
})

t.test('prints one line and exits with status 1 if the service cannot be reached', async (t) => {
  const url = `http://127.0.0.1:${await freePort()}`
  for (const options of [[], ['--count', '100']]) {
    t.strictSame(await runEntry(t, ['send', '--url', url, ...options], ENVIRONMENT), {
      status: 1,
      stdout: '',
      stderr: `lyftr-webhook: cannot reach ${url}: connection refused\n`,
    })
  }
  const { url: closing } = await startServer(t, (response) => response.destroy())
  const { status, stderr } = await runEntry(t, ['send', '--url', closing], ENVIRONMENT)
  t.equal(status, 1)
  t.match(stderr, /^lyftr-webhook: cannot reach http:[^\n]+\n$/)
})

t.test('names the source that is not configured', async (t) => {
  for (const options of [[], ['--count', '5']]) {
    t.strictSame(await runEntry(t, ['send', ...options]), {
      status: 1,
      stdout: '',
      stderr: 'lyftr-webhook: the source webhook is not configured: set WEBHOOK_SECRET\n',
    })
  }
})

t.test('rejects invalid options with one line that names the option', async (t) => {
  for (const [option, ...values] of [
    ['--source', 'none', ''],
    ['--url', 'localhost:8000', 'ftp://localhost', 'http://localhost/path', 'http://a:b@localhost'],
    ['--count', '0', '10000001', '1.5', '1e3', '-1', ''],
    ['--rate', '0', '0.09', '100001', 'fast', '1e3', '.5'],
    ['--from', '12', '+', '+1a', `+${'1'.repeat(33)}`],
    ['--to', '12'],
  ] as const) {
    for (const value of values) {
      const { status, stdout, stderr } = await runEntry(t, ['send', '--dev', `${option}=${value}`])
      t.equal(status, 1)
      t.equal(stdout, '')
      t.match(stderr, ONE_ERROR_LINE)
      t.ok(stderr.startsWith(`lyftr-webhook: ${option}: expected `), stderr)
      t.ok(stderr.endsWith(`, found ${JSON.stringify(value)}\n`), stderr)
    }
  }
  t.strictSame(await runEntry(t, ['send', '--dev'], { PORT: '0' }), {
    status: 1,
    stdout: '',
    stderr: 'lyftr-webhook: --url: required, because PORT is 0\n',
  })
})
