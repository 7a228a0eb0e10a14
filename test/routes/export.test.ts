import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { StoreUnavailableError } from '../../src/db/message-store.ts'
import type { MessageWithDetails } from '../../src/message/message.ts'
import { until } from '../../tools/until.ts'
import { openStream } from '../event-stream.ts'
import { startApp } from '../service.ts'

type App = Awaited<ReturnType<typeof startApp>>['app']

const CSV = { accept: 'text/csv' }

const HEADER = 'message_id,from_msisdn,to_msisdn,ts,text,created_at,source,type,payload\r\n'

/** Returns a message with defaults for the fields that are not given. */
function messageOf(fields: Partial<MessageWithDetails>): MessageWithDetails {
  return {
    message_id: 'm',
    from_msisdn: '+1',
    to_msisdn: '+2',
    ts: '2025-01-15T10:00:00Z',
    text: null,
    created_at: '2025-01-15T10:00:05Z',
    source: 'webhook',
    type: 'text',
    payload: null,
    ...fields,
  }
}

/** Returns messages with ids in ascending order. */
function messagesOf(count: number, fields: Partial<MessageWithDetails> = {}): MessageWithDetails[] {
  return Array.from({ length: count }, (_, number) =>
    messageOf({ message_id: `m${String(number).padStart(5, '0')}`, ...fields }),
  )
}

/** Returns the body of an export. */
async function exported(t: Test, app: App, query = '', headers = {}): Promise<string> {
  const { statusCode, body } = await app.inject({ url: `/messages/export?${query}`, headers })
  t.equal(statusCode, 200, body)
  return body
}

/** Returns the ids of an export as NDJSON. */
async function idsOf(t: Test, app: App, query = ''): Promise<string[]> {
  const lines = (await exported(t, app, query)).split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line).message_id)
}

/** Starts an app that listens, with more messages than the buffers of a connection contain: 30 MB. */
async function startLarge(t: Test, overrides = {}) {
  const { app, log } = await startApp(t, overrides)
  const messages = messagesOf(300, { payload: JSON.stringify('x'.repeat(100_000)) })
  await app.store.append(messages)
  const url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/messages/export`
  const completed = new Promise<void>((resolve) => app.requestTracker.onCompleted(() => resolve()))
  return { app, log, url, messages, completed }
}

t.test('exports every field, as lines of JSON or as CSV', async (t) => {
  const { app } = await startApp(t)
  await app.store.append([
    messageOf({ message_id: 'a', text: 'Straße, "привет"\r\n你好 😀\u2028' }),
    messageOf({ message_id: 'b', text: '', source: 'meta', payload: '{\n"a": [1.0, "é,"]}' }),
    messageOf({ message_id: 'c', type: 'line\nbreak', text: 'line\rbreak' }),
  ])
  const response = await app.inject('/messages/export')
  t.match(response.headers, {
    'content-type': 'application/x-ndjson; charset=utf-8',
    'content-disposition': 'attachment; filename="messages.ndjson"',
  })
  const lines = response.body.split('\n')
  t.equal(lines.pop(), '')
  t.strictSame(
    lines.map((line) => JSON.parse(line)),
    [
      messageOf({ message_id: 'a', text: 'Straße, "привет"\r\n你好 😀\u2028' }),
      { ...messageOf({ message_id: 'b', text: '', source: 'meta' }), payload: { a: [1, 'é,'] } },
      messageOf({ message_id: 'c', type: 'line\nbreak', text: 'line\rbreak' }),
    ],
  )

  const csv = await app.inject({ url: '/messages/export', headers: CSV })
  t.match(csv.headers, {
    'content-type': 'text/csv; charset=utf-8',
    'content-disposition': 'attachment; filename="messages.csv"',
  })
  const sent = "'+1,'+2,2025-01-15T10:00:00Z"
  const stored = '2025-01-15T10:00:05Z'
  t.equal(
    csv.body,
    [
      HEADER,
      `a,${sent},"Straße, ""привет""\r\n你好 😀\u2028",${stored},webhook,text,\r\n`,
      `b,${sent},"",${stored},meta,text,"{\n""a"": [1.0, ""é,""]}"\r\n`,
      `c,${sent},"line\rbreak",${stored},webhook,"line\nbreak",\r\n`,
    ].join(''),
  )
})

t.test('CSV has no value that a spreadsheet would run', async (t) => {
  const { app } = await startApp(t)
  const texts = ['=1+1', '+1', '-1', '@SUM(1)', '\t=1', '\r=1', ' =1', "'=1", 'a=1', '="a,b"']
  await app.store.append(
    texts.map((text, number) => messageOf({ message_id: `=m${number}`, type: '-x', text })),
  )
  const csv = await exported(t, app, '', CSV)
  const cells = [
    "'=1+1",
    "'+1",
    "'-1",
    "'@SUM(1)",
    "'\t=1",
    '"\'\r=1"',
    ' =1',
    "'=1",
    'a=1',
    `"'=""a,b"""`,
  ]
  for (const [number, cell] of cells.entries()) {
    const start = `\r\n'=m${number},'+1,'+2,2025-01-15T10:00:00Z,`
    t.ok(csv.includes(`${start}${cell},2025-01-15T10:00:05Z,webhook,'-x,\r\n`), cell)
  }
})

t.test('applies every filter and the order', async (t) => {
  const { app } = await startApp(t)
  await app.store.append([
    messageOf({ message_id: 'a', text: 'ÄRGER' }),
    messageOf({ message_id: 'b', from_msisdn: '+9', ts: '2025-01-15T11:00:00Z' }),
    messageOf({ message_id: 'c', to_msisdn: '+9', ts: '2025-01-15T12:00:00Z', source: 'meta' }),
    messageOf({ message_id: 'd', type: 'image', ts: '2025-01-15T13:00:00Z' }),
  ])
  for (const [query, ids] of [
    ['', 'abcd'],
    ['order=asc', 'abcd'],
    ['order=desc', 'dcba'],
    ['from= 9', 'b'],
    ['to=+9', 'c'],
    ['source=meta', 'c'],
    ['type=image', 'd'],
    ['since=2025-01-15T11:00:00Z&until=2025-01-15T13:00:00Z', 'bc'],
    ['q=ärger', 'a'],
    ['from=+1&order=desc', 'dca'],
  ] as const) {
    t.equal((await idsOf(t, app, query)).join(''), ids, query)
  }
  t.equal((await app.inject('/messages/export?order=sideways')).statusCode, 422)
  t.equal((await app.inject('/messages/export?since=now')).statusCode, 422)
})

t.test('exports more than one page, with and without filters', async (t) => {
  const { app } = await startApp(t)
  const messages = messagesOf(2500, { text: 'abc' })
  await app.store.append(messages)
  const ids = messages.map(({ message_id }) => message_id)
  for (const filter of ['', 'q=a', 'q=abc', 'source=webhook', 'from=+1', 'from=+1&q=abc']) {
    t.strictSame(await idsOf(t, app, filter), ids, filter)
    t.strictSame(await idsOf(t, app, `${filter}&order=desc`), ids.toReversed(), filter)
  }
  const lines = (await exported(t, app, '', CSV)).split('\r\n')
  t.strictSame(
    lines.map((line) => line.split(',')[0]),
    ['message_id', ...ids, ''],
  )
})

t.test('an export without messages is empty, or the header line of CSV', async (t) => {
  const { app } = await startApp(t)
  t.equal(await exported(t, app), '')
  t.equal(await exported(t, app, '', CSV), HEADER)
})

t.test('HTTP/1.0 gets 426', async (t) => {
  const { app } = await startApp(t)
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  const socket = connect(Number(port), '127.0.0.1')
  socket.write('GET /messages/export HTTP/1.0\r\n\r\n')
  const response = await text(socket)
  t.match(response, /^HTTP\/1.1 426 /)
  t.match(response, /\r\nupgrade: HTTP\/1.1\r\n/i)
  t.match(response, /\{"detail":"[^"]+"\}$/)
})

t.test('requires a token if one is configured', async (t) => {
  const { app } = await startApp(t, { apiTokens: ['x'] })
  t.equal((await app.inject('/messages/export')).statusCode, 401)
  t.equal(await exported(t, app, '', { authorization: 'Bearer x' }), '')
})

t.test('exports count as streams', async (t) => {
  const { app } = await startApp(t, { maxStreams: 1 })
  const gate = Promise.withResolvers<void>()
  const page = app.store.page.bind(app.store)
  app.store.page = async (query, signal) => {
    await gate.promise
    return page(query, signal)
  }
  const waiting = exported(t, app)
  await until('the export waits', async () => app.admission.count('stream') === 1)
  t.equal((await app.inject('/messages/export')).statusCode, 503)
  gate.resolve()
  t.equal(await waiting, '')
  t.equal(await exported(t, app), '')
})

t.test('a client that disconnects cancels its export', async (t) => {
  const { app, log, url } = await startLarge(t)
  const page = app.store.page.bind(app.store)
  const reading = Promise.withResolvers<AbortSignal | undefined>()
  app.store.page = async (query, signal) => {
    if (query.after === undefined) return page(query, signal)
    reading.resolve(signal)
    await new Promise((resolve) => signal?.addEventListener('abort', resolve))
    return page(query, signal)
  }
  const response = await openStream(t, url, {})
  response.resume()
  const signal = await reading.promise
  response.destroy()
  await until('the request is logged', async () =>
    log.some(({ path }) => path === '/messages/export'),
  )
  t.match(log.at(-1), { status: 499, level: 'INFO' })
  t.ok(signal?.aborted)
  t.equal(app.admission.count('stream'), 0)
})

t.test('an error in the middle breaks the connection, and is logged with its cause', async (t) => {
  const { app, log, url, completed } = await startLarge(t)
  const page = app.store.page.bind(app.store)
  app.store.page = (query, signal) =>
    query.after ? Promise.reject(new StoreUnavailableError('gone')) : page(query, signal)
  const response = await openStream(t, url, CSV)
  t.equal(response.statusCode, 200)
  response.resume()
  const [error] = await once(response, 'error')
  t.equal(error.code, 'ECONNRESET')
  t.notOk(response.complete)
  await completed
  t.match(log.at(-1), { status: 500, level: 'ERROR', cause: { message: 'gone' } })
})

t.test('an error before the first message gets a response', async (t) => {
  const { app } = await startApp(t, { readTimeoutMs: 1 })
  app.store.page = (_query, signal) =>
    new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new StoreUnavailableError('cancelled')))
    })
  const late = await app.inject('/messages/export')
  t.equal(late.statusCode, 503)
  t.strictSame(late.json(), { detail: 'query timed out; narrow the filters' })
  t.notOk(late.headers['content-disposition'])
  app.store.page = () => Promise.reject(new StoreUnavailableError('gone'))
  t.strictSame((await app.inject('/messages/export')).json(), {
    detail: 'the database is not available',
  })
})

t.test('an export under way continues while the service closes', async (t) => {
  const { app, url, messages } = await startLarge(t)
  const response = await openStream(t, url, {})
  const closing = app.close()
  t.equal((await text(response)).split('\n').length, messages.length + 1)
  await closing
})

t.test('an export that is not finished when connections are closed is incomplete', async (t) => {
  const { app, url, completed } = await startLarge(t)
  const response = await openStream(t, url, {})
  app.server.closeAllConnections()
  await t.rejects(text(response), { code: 'ECONNRESET' })
  await completed
})
