import fc from 'fast-check'
import t from 'tap'
import { postAll, startApp } from '../helper.ts'

t.test('lists messages in the form of the reference', async (t) => {
  const { app } = await startApp(t)
  t.strictSame((await app.inject('/messages')).json(), { data: [], total: 0, limit: 50, offset: 0 })
  await postAll(t, app, [
    { message_id: 'm1', text: 'Hello world' },
    { message_id: 'm2', text: null },
  ])
  const answer = await app.inject('/messages')
  t.equal(answer.statusCode, 200)
  const page = answer.json()
  t.match(page, { total: 2, limit: 50, offset: 0 })
  t.strictSame(
    { ...page.data[0], created_at: null },
    {
      message_id: 'm1',
      from_msisdn: '+919876543210',
      to_msisdn: '+14155550100',
      ts: '2025-01-15T10:00:00Z',
      text: 'Hello world',
      created_at: null,
    },
  )
  t.equal(page.data[1].text, null)
})

t.test('understands every filter as a URL brings it', async (t) => {
  const { app } = await startApp(t)
  await postAll(t, app, [
    { message_id: 'a', from: '+1', ts: '2025-01-15T10:00:00Z', text: '100% ÄRGER & more' },
    { message_id: 'b', from: '+2', ts: '2025-01-15T10:00:00.25Z', text: 'привет' },
    { message_id: 'c', from: '+2', ts: '2025-01-15T10:00:00.5Z', text: 'ΟΔΟΣ' },
  ])
  const found = async (query: string) =>
    (await app.inject(`/messages?${query}`))
      .json()
      .data.map(({ message_id }: { message_id: string }) => message_id)
      .join('')
  t.equal(await found('from=%2B2'), 'bc')
  t.equal(await found('from=+2'), 'bc', 'a bare + arrives as a space')
  t.equal(await found('from=2'), '')
  t.equal(await found('since=2025-01-15T10:00:00.25Z'), 'bc')
  t.equal(await found('since=2025-01-15T15:30:00.250000001%2B05:30'), 'c')
  t.equal(await found('since=2025-01-15T15:30:00.250000001+05:30'), 'c')
  t.equal(await found(`q=${encodeURIComponent('ärger')}`), 'a')
  t.equal(await found(`q=${encodeURIComponent('100% ä')}`), 'a')
  t.equal(await found(`q=${encodeURIComponent('ПРИ')}`), 'b')
  t.equal(await found(`q=${encodeURIComponent('ς')}`), 'c')
  t.equal(await found('q='), 'abc')
  t.equal(await found('q=%25&from=+1&since=2025-01-15T10:00:00Z'), 'a')
  t.equal(await found('limit=1&offset=1'), 'b')
  t.equal(await found('limit=2'), 'ab')
})

t.test('clamps limit and offset', async (t) => {
  const { app } = await startApp(t)
  for (const [query, limit, offset] of [
    ['limit=0', 1, 0],
    ['limit=-5&offset=-5', 1, 0],
    ['limit=101', 100, 0],
    ['limit=%2B7&offset=+8', 7, 8],
    ['limit=99999999999999999999&offset=99999999999999999999', 100, Number.MAX_SAFE_INTEGER],
    ['limit=-99999999999999999999', 1, 0],
  ] as const) {
    const answer = await app.inject(`/messages?${query}`)
    t.equal(answer.statusCode, 200, query)
    t.match(answer.json(), { limit, offset })
  }
})

t.test('refuses what it cannot understand, naming each parameter', async (t) => {
  const { app } = await startApp(t)
  for (const [query, ...names] of [
    ['limit=abc', 'limit'],
    ['limit=', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=1e1', 'limit'],
    ['limit=0x10', 'limit'],
    ['limit=Infinity', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['offset=x', 'offset'],
    ['offset=1%00', 'offset'],
    ['since=yesterday', 'since'],
    ['since=', 'since'],
    ['since=2025-02-30T00:00:00Z', 'since'],
    ['since=2025-01-15T10:00:00', 'since'],
    ['since=0000-01-01T00:00:00%2B01:00', 'since'],
    ['since=9999-12-31T23:59:59-00:01', 'since'],
    ['since=2025-01-15T10:00:00.1234567890Z', 'since'],
    ['from=%00', 'from'],
    ['from=+1&from=+2', 'from'],
    ['q=a%00b', 'q'],
    ['limit=x&offset=y&since=z&q=%00', 'limit', 'offset', 'since', 'q'],
  ] as const) {
    const answer = await app.inject(`/messages?${query}`)
    t.equal(answer.statusCode, 422, query)
    t.same(
      answer
        .json()
        .detail.map(({ loc }: { loc: string[] }) => loc)
        .sort(),
      names.map((name) => ['query', name]).sort(),
    )
  }
})

t.test('no query whatever gets a 5xx', async (t) => {
  const { app } = await startApp(t)
  await postAll(t, app, [{ message_id: 'a' }])
  const name = fc.constantFrom('limit', 'offset', 'from', 'since', 'q', '__proto__', 'x[]', '')
  const value = fc.oneof(
    fc
      .string({ unit: 'binary' })
      .filter((text) => text.isWellFormed())
      .map(encodeURIComponent),
    fc.stringMatching(/^[!-"$-~]*$/),
    fc.constantFrom('%', '%f', '%ff', '%00', '%u1234', '1', '-1', '2025-01-15T10:00:00Z'),
  )
  const query = fc.array(
    fc.tuple(name, value).map((pair) => pair.join('=')),
    { maxLength: 5 },
  )
  await fc.assert(
    fc.asyncProperty(query, async (pairs) => {
      const { statusCode } = await app.inject(`/messages?${pairs.join('&')}`)
      return statusCode === 200 || statusCode === 422
    }),
    { numRuns: 300 },
  )
})

t.test('HEAD is answered as GET without the body', async (t) => {
  const { app } = await startApp(t)
  const answer = await app.inject({ method: 'HEAD', url: '/messages' })
  t.equal(answer.statusCode, 200)
  t.equal(answer.body, '')
})

t.test('a database that cannot be read is a 503', async (t) => {
  const { app } = await startApp(t)
  await app.store.close()
  for (const url of ['/messages', '/stats']) {
    const answer = await app.inject(url)
    t.equal(answer.statusCode, 503)
    t.strictSame(answer.json(), { detail: 'the database is not available' })
  }
})
