import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect, createServer } from 'node:net'
import Database from 'better-sqlite3'
import t from 'tap'
import {
  folderOf,
  type LogLine,
  SECRET,
  type Service,
  sign,
  spawnEntry,
  startService,
  wire,
} from './service.ts'

function post(url: string, message_id: string): Promise<Response> {
  const body = wire({ message_id })
  return fetch(`${url}/webhook`, {
    method: 'POST',
    headers: { 'x-signature': sign(body) },
    body: Buffer.from(body),
  })
}

/**
 * Sends the headers and the start of a post, and waits until the service counts it as in flight.
 * @returns a function that sends the rest and resolves with the response.
 */
async function startPost({ url }: Service): Promise<() => Promise<IncomingMessage>> {
  const body = wire({ message_id: 'in flight' })
  const posting = request(`${url}/webhook`, {
    method: 'POST',
    headers: { 'x-signature': sign(body), 'content-length': body.length },
  })
  posting.write(body.slice(0, 10))
  const metrics = async () => (await fetch(`${url}/metrics`)).text()
  while (!(await metrics()).includes('http_requests_in_flight{class="unverified"} 1'));
  return async () => {
    posting.end(body.slice(10))
    const [response] = await once(posting, 'response')
    return response
  }
}

/** Waits for a line of the log. */
async function logged(service: Service, match: (line: LogLine) => boolean): Promise<void> {
  while (!service.log.some(match)) await once(service.process.stdout ?? service.process, 'data')
}

t.test('exits with status 1 and one line that names a bad setting', async (t) => {
  const folder = folderOf(t)
  writeFileSync(`${folder}/no-database`, 'this is no database '.repeat(100))
  writeFileSync(`${folder}/file`, '')
  mkdirSync(`${folder}/folder`)
  const occupied = createServer().listen(0, '127.0.0.1')
  t.teardown(() => occupied.close())
  await once(occupied, 'listening')
  const address = occupied.address()
  const port = typeof address === 'object' ? address?.port : 0
  await Promise.all(
    [
      { PORT: 'abc' },
      { PORT: '99999' },
      { LOG_LEVEL: 'loud' },
      { DATABASE_URL: 'mysql://root@localhost/test' },
      { DATABASE_URL: 'sqlite:///file/app.db' },
      { DATABASE_URL: 'sqlite:///folder' },
      { DATABASE_URL: 'sqlite:///no-database' },
      { HOST: 'no.such.host.invalid' },
      { PORT: String(port) },
      { API_TOKEN: 'two words' },
      { API_TOKEN_FILE: 'no/such/file' },
      { TRUST_PROXY: '10.0.0.0/99' },
      { WEBHOOK_SECRET_FILE: 'no/such/file', WEBHOOK_SECRET: '' },
      { WEBHOOK_SECRET: SECRET, WEBHOOK_SECRET_FILE: 'file' },
    ].map(async (bad) => {
      const { stderr, ended, child } = spawnEntry(t, [], {
        WEBHOOK_SECRET: SECRET,
        DATABASE_URL: 'sqlite:///:memory:',
        HOST: '127.0.0.1',
        PORT: '0',
        ...bad,
      })
      child.stdout?.resume()
      const name = Object.keys(bad)[0] ?? ''
      t.equal(await ended, 1, JSON.stringify(bad))
      t.match(stderr(), new RegExp(`^lyftr-webhook: ${name}: [^\\n]+\\n$`), JSON.stringify(bad))
    }),
  )
})

t.test('without a secret, starts with a warning, is not ready and rejects posts', async (t) => {
  const service = await startService(t, { WEBHOOK_SECRET: ' ' })
  t.equal((await fetch(`${service.url}/health/live`)).status, 200)
  t.equal((await fetch(`${service.url}/health/ready`)).status, 503)
  t.equal((await post(service.url, 'm')).status, 503)
  t.ok(
    service.log.some(({ level, msg }) => level === 'WARNING' && /WEBHOOK_SECRET/.test(String(msg))),
  )
})

t.test('ignores a byte order mark at the start of .env', async (t) => {
  writeFileSync(`${folderOf(t)}/.env`, '\ufeffAPI_TOKEN=closed\n')
  const { url } = await startService(t)
  t.equal((await fetch(`${url}/messages`)).status, 401)
})

t.test('reads .env; the environment takes precedence', async (t) => {
  writeFileSync(`${folderOf(t)}/.env`, `WEBHOOK_SECRET="from the file"\nLOG_LEVEL=ERROR\n`)
  const service = await startService(t, { LOG_LEVEL: 'INFO' })
  t.equal((await post(service.url, 'm')).status, 200, 'the environment has the secret')
})

t.test(
  'a secret and its …_FILE variant override both variants of a source with lower precedence',
  async (t) => {
    const folder = folderOf(t)
    writeFileSync(`${folder}/.env`, 'WEBHOOK_SECRET=lower\nAPI_TOKEN_FILE=nowhere\n')
    writeFileSync(`${folder}/secret`, `${SECRET}\n`)
    const { url } = await startService(t, {
      WEBHOOK_SECRET: '',
      WEBHOOK_SECRET_FILE: 'secret',
      API_TOKEN: 'token',
    })
    t.equal((await post(url, 'm')).status, 200)
    t.equal((await fetch(`${url}/stats`)).status, 401)
    const headers = { authorization: 'Bearer token' }
    t.match(await (await fetch(`${url}/stats`, { headers })).json(), { total_messages: 1 })
  },
)

t.test('serve --dev requires no settings', async (t) => {
  writeFileSync(`${folderOf(t)}/.env`, `HOST=127.0.0.1\nPORT=0\n`)
  const { child, ended } = spawnEntry(t, ['serve', '--dev'], {})
  let log = ''
  while (!/listening on [^"]+"/.test(log)) log += (await once(child.stdout ?? child, 'data')).join()
  const url = /listening on ([^"\s]+)/.exec(log)?.[1] ?? ''
  t.equal((await post(url, 'm')).status, 200)
  child.kill('SIGINT')
  t.equal(await ended, 0)
  t.ok(new Database(`${folderOf(t)}/data/app.db`, { fileMustExist: true }))
})

t.test(
  'on SIGTERM, completes requests in flight, closes idle connections and exits with 0',
  async (t) => {
    const service = await startService(t)
    const agent = new Agent({ keepAlive: true })
    t.teardown(() => agent.destroy())
    const idle = request(`${service.url}/health/live`, { agent }).end()
    const [idleResponse] = await once(idle, 'response')
    idleResponse.resume()
    await once(idleResponse, 'end')
    // A connection without any request, which Node does not count as idle.
    const { hostname, port } = new URL(service.url)
    const silent = connect(Number(port), hostname)
    await once(silent, 'connect')

    const finishPost = await startPost(service)
    service.process.kill('SIGTERM')
    await logged(service, ({ msg }) => msg === 'SIGTERM: stopping')
    const response = await finishPost()
    t.equal(response.statusCode, 200)
    t.equal(response.headers.connection, 'close')
    t.equal(await service.ended, 0)
    t.equal(service.log.at(-1)?.msg, 'stopped')

    const again = await startService(t)
    t.match(await (await fetch(`${again.url}/messages`)).json(), { total: 1 })
  },
)

t.test('serves requests during the shutdown delay, while it is not ready', async (t) => {
  const service = await startService(t, { SHUTDOWN_DELAY_MS: '1000' })
  service.process.kill('SIGTERM')
  await logged(service, ({ msg }) => msg === 'SIGTERM: stopping')
  // A second signal does not shorten the delay.
  service.process.kill('SIGTERM')
  await logged(service, ({ msg }) => msg === 'SIGTERM: already stopping')
  const ready = await fetch(`${service.url}/health/ready`)
  t.equal(ready.status, 503)
  t.strictSame(await ready.json(), { detail: 'shutting down' })
  t.equal((await fetch(`${service.url}/health/live`)).status, 200)
  const response = await post(service.url, 'late')
  t.equal(response.status, 200)
  t.equal(response.headers.get('connection'), 'keep-alive')
  t.equal(await service.ended, 0)
})

t.test('ignores further signals during shutdown', async (t) => {
  const service = await startService(t)
  const finishPost = await startPost(service)
  service.process.kill('SIGTERM')
  await logged(service, ({ msg }) => msg === 'SIGTERM: stopping')
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGTERM'] as const) {
    service.process.kill(signal)
    await logged(service, ({ msg }) => msg === `${signal}: already stopping`)
  }
  t.equal((await finishPost()).statusCode, 200)
  t.equal(await service.ended, 0)
  t.equal(service.log.at(-1)?.msg, 'stopped')
})

t.test('exits within 10 s of SIGTERM during long searches', async (t) => {
  const file = `${folderOf(t)}/app.db`
  const first = await startService(t)
  first.process.kill('SIGTERM')
  await first.ended
  const database = new Database(file)
  database
    .prepare(
      `insert into messages (message_id, from_msisdn, to_msisdn, ts, text, created_at, ts_key)
       with recursive n(i) as (values (1) union all select i + 1 from n where i < 60000)
       select 'm' || i, '+1', '+2', '2025-01-15T10:00:00Z', 'ärger ' || hex(randomblob(100)), 'x', '2025-01-15T10:00:00' from n`,
    )
    .run()
  database.close()
  const service = await startService(t)
  const searches = Promise.allSettled(
    [1, 2, 3, 4].map(() => fetch(`${service.url}/messages?q=nothing%20has%20this`)),
  )
  await fetch(`${service.url}/health/live`)
  const started = performance.now()
  t.equal((await fetch(`${service.url}/health/live`)).status, 200)
  t.equal((await fetch(`${service.url}/health/ready`)).status, 200)
  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0)
  t.ok(performance.now() - started < 10_000)
  await searches
})

t.test(
  'on SIGTERM while the database is locked, returns 503 to waiting posts and exits with 0',
  async (t) => {
    const service = await startService(t)
    const other = new Database(`${folderOf(t)}/app.db`)
    other.exec('begin immediate')
    const posts = [post(service.url, 'one')]
    await fetch(`${service.url}/health/ready`)
    posts.push(post(service.url, 'two'), post(service.url, 'three'))
    t.equal((await fetch(`${service.url}/health/live`)).status, 200)
    service.process.kill('SIGTERM')
    const responses = await Promise.all(posts)
    t.same(
      responses.map(({ status }) => status),
      [503, 503, 503],
    )
    t.equal(responses[0]?.headers.get('retry-after'), '1')
    t.equal(await service.ended, 0)
    other.close()
  },
)

t.test('a stalled log reader delays neither requests nor the exit', async (t) => {
  const port = await freePort()
  const { child, ended } = spawnEntry(t, [], {
    WEBHOOK_SECRET: SECRET,
    DATABASE_URL: 'sqlite:///app.db',
    HOST: '127.0.0.1',
    PORT: String(port),
  })
  // Standard output is a pipe of 64 KiB that nothing reads.
  const url = `http://127.0.0.1:${port}`
  while (!(await fetch(`${url}/health/ready`).catch(() => undefined))?.ok);
  for (let n = 0; n < 1000; n++) await (await fetch(`${url}/health/live`)).text()
  t.equal((await post(url, 'm')).status, 200)
  child.kill('SIGTERM')
  child.once('exit', () => child.stdout?.resume())
  t.equal(await ended, 0)
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}
