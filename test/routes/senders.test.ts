import t from 'tap'
import { postAll, startApp } from '../service.ts'

interface SendersPage {
  data: { from: string; count: number }[]
  next?: string
}

const MESSAGES = [
  { message_id: '1', from: '+20', ts: '2025-01-15T10:00:00.5Z' },
  { message_id: '2', from: '+20', ts: '2025-01-15T10:00:00Z' },
  { message_id: '3', from: '+10', ts: '2025-01-15T10:00:00.25Z' },
  { message_id: '4', from: '+30', ts: '2025-01-15T10:00:00.1Z' },
  { message_id: '5', from: '+1', ts: '2025-01-15T10:00:00Z' },
]

t.test('lists senders, the busiest first', async (t) => {
  const { app } = await startApp(t)
  t.strictSame((await app.inject('/senders')).json(), { data: [] })
  await postAll(t, app, MESSAGES)
  const { data, next } = (await app.inject('/senders')).json<SendersPage>()
  t.strictSame(data[0], {
    from: '+20',
    count: 2,
    first_message_ts: '2025-01-15T10:00:00Z',
    last_message_ts: '2025-01-15T10:00:00.5Z',
  })
  t.same(
    data.map(({ from, count }) => [from, count]),
    [
      ['+20', 2],
      ['+1', 1],
      ['+10', 1],
      ['+30', 1],
    ],
  )
  t.equal(next, undefined)
})

t.test('lists senders by prefix and number, in pages', async (t) => {
  const { app } = await startApp(t)
  await postAll(t, app, MESSAGES)
  const numbersOf = async (query: string) => {
    const pages: string[][] = []
    let cursor = ''
    for (;;) {
      const { data, next } = (await app.inject(`/senders?${query}${cursor}`)).json<SendersPage>()
      pages.push(data.map(({ from }) => from))
      if (next === undefined) return pages
      cursor = `&cursor=${next}`
    }
  }
  t.strictSame(await numbersOf('order=number'), [['+1', '+10', '+20', '+30']])
  t.strictSame(await numbersOf('limit=3'), [['+20', '+1', '+10'], ['+30']])
  t.strictSame(await numbersOf('limit=0'), [['+20'], ['+1'], ['+10'], ['+30']], 'limit is clamped')
  t.strictSame(await numbersOf('limit=101&q='), [['+20', '+1', '+10', '+30']])
  t.strictSame(await numbersOf('limit=1&q=%2B1'), [['+1'], ['+10']])
  t.strictSame(await numbersOf('limit=1&q=+1&order=number'), [['+1'], ['+10']], 'a bare +')
  t.strictSame(await numbersOf('q=%2B9'), [[]])
})

t.test('returns 422 for invalid parameters, and for a cursor of another query', async (t) => {
  const { app } = await startApp(t)
  await postAll(t, app, MESSAGES)
  const { next } = (await app.inject('/senders?limit=1&q=%2B')).json<SendersPage>()
  t.equal((await app.inject(`/senders?q=%2B&cursor=${next}`)).statusCode, 200)
  for (const [query, name] of [
    ['limit=x', 'limit'],
    ['order=asc', 'order'],
    ['q=%00', 'q'],
    ['cursor=', 'cursor'],
    ['cursor=x.y', 'cursor'],
    [`cursor=${next}`, 'cursor'],
    [`q=%2B&order=number&cursor=${next}`, 'cursor'],
    [`q=%2B&cursor=${next}x`, 'cursor'],
  ] as const) {
    const response = await app.inject(`/senders?${query}`)
    t.equal(response.statusCode, 422, query)
    t.match(response.json(), { detail: [{ loc: ['query', name] }] }, query)
  }
})

t.test('returns 401 without a token if tokens are configured', async (t) => {
  const { app } = await startApp(t, { apiTokens: ['x'] })
  t.equal((await app.inject('/senders')).statusCode, 401)
  const headers = { authorization: 'Bearer x' }
  t.equal((await app.inject({ url: '/senders', headers })).statusCode, 200)
})
