import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { NO_SOURCES, post, postAll, sign, startApp, startService, wire } from '../service.ts'

const ALL = { order: 'asc' as const, limit: 100, offset: 0 }

t.test('stores a message, and returns 200 for a duplicate, conflicting or not', async (t) => {
  const { app } = await startApp(t)
  for (const text of ['first', 'first', 'second']) {
    const response = await post(app, wire({ message_id: 'm1', text }))
    t.equal(response.statusCode, 200)
    t.equal(response.body, '{"status":"ok"}')
  }
  const { data, total } = await app.store.page(ALL)
  t.equal(total, 1)
  t.match(data[0], { message_id: 'm1', text: 'first', created_at: /^\d{4}-\d\d-\d\dT[\d:]{8}Z$/ })
})

t.test('stores one of sixty concurrent copies', async (t) => {
  const { app, log } = await startApp(t)
  const copies = Array.from({ length: 60 }, (_, n) =>
    post(app, wire({ message_id: 'same', text: String(n) })),
  )
  const responses = await Promise.all(copies)
  t.ok(responses.every(({ statusCode }) => statusCode === 200))
  t.equal((await app.store.stats()).total_messages, 1)
  await app.close()
  t.equal(log.filter(({ result }) => result === 'created').length, 1)
  t.equal(log.filter(({ result }) => result === 'duplicate').length, 59)
})

t.test('accepts every valid message', async (t) => {
  const { app } = await startApp(t)
  const text = (max: number) =>
    fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: max })
      .filter((value) => !value.includes('\0') && value.isWellFormed())
  const digits = fc.stringMatching(/^\+[0-9]{1,32}$/)
  const message = fc.record(
    {
      message_id: text(100),
      from: digits,
      to: digits,
      ts: fc.stringMatching(
        /^20[0-9]{2}-0[1-9]-[01][1-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z$/,
      ),
      text: fc.option(text(200)),
      unknown: fc.jsonValue(),
    },
    { requiredKeys: ['message_id', 'from', 'to', 'ts'] },
  )
  const seen = new Set<string>()
  await fc.assert(
    fc.asyncProperty(message, async (sent) => {
      const response = await post(app, JSON.stringify(sent))
      t.equal(response.statusCode, 200, response.body)
      if (seen.has(sent.message_id)) return
      seen.add(sent.message_id)
      const { data } = await app.store.page({ ...ALL, from: sent.from })
      const stored = data.find(({ message_id }) => message_id === sent.message_id)
      t.match(stored, { from_msisdn: sent.from, to_msisdn: sent.to, ts: sent.ts })
      t.equal(stored?.text, sent.text ?? null)
    }),
  )
})

t.test('accepts values at the limits', async (t) => {
  const { app } = await startApp(t)
  await postAll(t, app, [
    { message_id: '👍'.repeat(512), text: '👍'.repeat(4096) },
    { message_id: ' ', text: '' },
    { message_id: 'null', text: null },
    { message_id: 'digits', from: `+${'1'.repeat(32)}`, to: '+0' },
    { message_id: '__proto__', text: 'constructor' },
  ])
  t.equal((await app.store.stats()).total_messages, 5)
})

const phone = (loc: string) => ({
  loc: ['body', loc],
  msg: "Phone number must start with '+'",
  type: 'value_error',
})

t.test('reports all errors at once, in the format of the legacy Python service', async (t) => {
  const { app } = await startApp(t)
  const response = await post(
    app,
    '{"message_id":"","from":"919876543210","to":["+1"],"ts":"2025-02-30T10:00:00Z","text":12}',
  )
  t.equal(response.statusCode, 422)
  const { detail } = response.json()
  t.same(
    detail.map(({ loc, type }: { loc: string[]; type: string }) => [...loc, type]),
    [
      ['body', 'message_id', 'value_error'],
      ['body', 'from', 'value_error'],
      ['body', 'to', 'type_error'],
      ['body', 'ts', 'value_error'],
      ['body', 'text', 'type_error'],
    ],
  )
  t.strictSame(detail[1], phone('from'))
  t.strictSame(detail[2], { loc: ['body', 'to'], msg: 'to must be a string', type: 'type_error' })
  t.strictSame((await post(app, '{}')).json(), {
    detail: ['message_id', 'from', 'to', 'ts'].map((name) => ({
      loc: ['body', name],
      msg: `${name} is required`,
      type: 'missing',
    })),
  })
})

t.test('rejects every invalid field, and stores nothing', async (t) => {
  const { app } = await startApp(t)
  const bad: Record<string, unknown[]> = {
    message_id: ['', 'x'.repeat(513), 'a\0', '\ud800', 1, null, true, ['a'], {}],
    from: ['', '+', '1', '+1\n', '+1 ', ' +1', '+1a', '+１', `+${'1'.repeat(33)}`, 1, null, ['+1']],
    to: ['', '+', '14155550100', '+٣', null],
    ts: ['', '2025-01-15', '2025-01-15T10:00:00', '2025-01-15T24:00:00Z', 1736935200, null],
    text: ['x'.repeat(4097), '👍'.repeat(4097), 'a\0b', 'a\udc00b', 1, false, ['x'], {}],
  }
  for (const [field, values] of Object.entries(bad)) {
    for (const value of values) {
      const body = JSON.stringify({ ...JSON.parse(wire({ message_id: 'm' })), [field]: value })
      const response = await post(app, body)
      t.equal(response.statusCode, 422, `${field} ${JSON.stringify(value)?.slice(0, 40)}`)
      t.same(
        response.json().detail.map(({ loc }: { loc: string[] }) => loc),
        [['body', field]],
      )
    }
  }
  t.equal((await app.store.stats()).total_messages, 0)
})

t.test('rejects a body that is not a JSON object', async (t) => {
  const { app } = await startApp(t)
  for (const body of [
    '',
    ' ',
    '{',
    'null',
    '1',
    '"text"',
    '[]',
    `[${wire({ message_id: 'm' })}]`,
    "{'message_id':'m'}",
    '{"message_id":NaN}',
    Buffer.from('{"message_id":"\xff"}', 'latin1'),
    Buffer.from('{"message_id":"m"}', 'utf16le'),
    Buffer.concat([
      Buffer.from('{"message_id":"'),
      Buffer.from([0xed, 0xa0, 0x80]),
      Buffer.from('"}'),
    ]),
    '['.repeat(60_000),
  ]) {
    const response = await post(app, body)
    t.equal(response.statusCode, 422, String(body).slice(0, 40))
    t.match(response.json().detail, [{ loc: ['body'], msg: /^[Bb]ody / }])
  }
})

t.test('accepts JSON media types, and no others', async (t) => {
  const { app } = await startApp(t)
  const attempt = async (type: string | undefined, id: string) => {
    const body = wire({ message_id: id })
    return app.inject({
      method: 'POST',
      url: '/webhook',
      headers: {
        'x-signature': sign(body),
        ...(type === undefined ? {} : { 'content-type': type }),
      },
      payload: Buffer.from(body),
    })
  }
  for (const type of [
    undefined,
    'application/json',
    'Application/JSON; charset=utf-8',
    'application/cloudevents+json',
    'application/vnd.lyftr+json;v=1',
  ]) {
    t.equal((await attempt(type, `accepted ${type}`)).statusCode, 200, String(type))
  }
  for (const type of [
    'text/plain',
    'application/xml',
    'application/jsonp',
    'text/json',
    'json',
    '/',
  ]) {
    const response = await attempt(type, 'rejected')
    t.equal(response.statusCode, 415, type)
    t.match(response.json(), { detail: /expected application\/json/ })
  }
  t.equal((await app.store.stats()).total_messages, 5)
})

t.test('verifies the signature before it rejects a malformed Content-Type', async (t) => {
  const { app, log } = await startApp(t, { maxFailuresPerMinute: 5 })
  const body = wire({ message_id: 'm' })
  const types = [';;;', '', 'a/b/c', 'application/json, text/plain', 'undefined']
  for (const type of types) {
    const signed = { 'x-signature': sign(body), 'content-type': type }
    const response = await post(app, body, signed)
    t.equal(response.statusCode, 415, type)
    t.match(response.json(), { detail: /expected application\/json/ })
    t.match(log.at(-1), { result: 'validation_error' })
    t.equal((await post(app, body, { 'content-type': type })).statusCode, 401, type)
    t.match(log.at(-1), { result: 'invalid_signature', client: '127.0.0.1' })
  }
  t.equal((await post(app, body, { 'content-type': ';;;' })).statusCode, 429)
  t.equal((await post(app, '', { 'content-type': '' })).statusCode, 429)
  const empty = { 'x-signature': sign(''), 'content-type': ';' }
  t.equal((await post(app, '', empty)).statusCode, 415)
  const { body: metrics } = await app.inject('/metrics')
  t.match(metrics, 'webhook_requests_total{result="invalid_signature"} 7\n')
  t.equal((await app.store.stats()).total_messages, 0)
})

t.test('returns 415 for a compressed body with a valid signature', async (t) => {
  const { app, log } = await startApp(t)
  const body = wire({ message_id: 'm' })
  const packed = gzipSync(body)
  for (const coding of ['gzip', 'br', 'GZIP', 'identity, gzip', 'x']) {
    const response = await post(app, packed, {
      'x-signature': sign(packed),
      'content-encoding': coding,
      'content-type': 'text/plain',
    })
    t.equal(response.statusCode, 415, coding)
    t.match(response.json(), { detail: /content coding/ })
    t.equal(response.headers['accept-encoding'], 'identity', 'RFC 9110, section 12.5.3')
    t.match(log.at(-1), { level: 'INFO', status: 415, result: 'validation_error' })
  }
  const unsigned = await post(app, packed, { 'content-encoding': 'gzip' })
  t.equal(unsigned.statusCode, 401)
  const other = { 'x-signature': sign(body), 'content-type': 'text/plain' }
  t.notOk('accept-encoding' in (await post(app, body, other)).headers)
  for (const coding of ['identity', 'Identity', '']) {
    const headers = { 'x-signature': sign(body), 'content-encoding': coding }
    t.equal((await post(app, body, headers)).statusCode, 200, coding)
  }
})

t.test('accepts a body of 64 KiB, and rejects one byte more', async (t) => {
  const { app } = await startApp(t)
  const padded = (size: number) => {
    const body = wire({ message_id: String(size) })
    return body + ' '.repeat(size - Buffer.byteLength(body))
  }
  t.equal((await post(app, padded(65_536))).statusCode, 200)
  const response = await post(app, padded(65_537), {})
  t.equal(response.statusCode, 413, 'before the signature')
  t.match(response.json(), { detail: 'the body is too large' })
})

t.test('without a secret it rejects every post with 503 and stores nothing', async (t) => {
  const { app, startLog } = await startApp(t, { sources: NO_SOURCES })
  const body = wire({ message_id: 'm' })
  for (const headers of [{ 'x-signature': sign(body) }, { 'x-signature': sign(body, '') }, {}]) {
    const response = await post(app, body, headers)
    t.equal(response.statusCode, 503)
    t.match(response.json(), { detail: /WEBHOOK_SECRET/ })
    t.equal(response.headers['retry-after'], '1')
  }
  t.equal((await post(app, 'x'.repeat(70_000), {})).statusCode, 503, 'before the size')
  t.equal((await app.store.stats()).total_messages, 0)
  t.match(
    startLog.find(({ level }) => level === 'WARNING'),
    { msg: /WEBHOOK_SECRET/ },
  )
})

t.test('returns 503 with Retry-After if the message cannot be stored', async (t) => {
  const { app } = await startApp(t)
  await app.store.close()
  const response = await post(app, wire({ message_id: 'm' }))
  t.equal(response.statusCode, 503)
  t.equal(response.headers['retry-after'], '1')
  t.strictSame(response.json(), { detail: 'the database is not available' })
})

t.test('stores a message durably before it returns 200', async (t) => {
  const service = await startService(t)
  const body = wire({ message_id: 'kept' })
  const response = await fetch(`${service.url}/webhook`, {
    method: 'POST',
    headers: { 'x-signature': sign(body) },
    body: Buffer.from(body),
  })
  t.equal(response.status, 200)
  service.process.kill('SIGKILL')
  t.equal(await service.ended, 'SIGKILL')
  const again = await startService(t)
  const page = await (await fetch(`${again.url}/messages`)).json()
  t.match(page, { total: 1, data: [{ message_id: 'kept' }] })
})
