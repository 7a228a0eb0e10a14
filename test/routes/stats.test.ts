import t from 'tap'
import { postAll, startApp } from '../service.ts'

t.test('counts messages and senders in the format of the legacy Python service', async (t) => {
  const { app } = await startApp(t)
  t.strictSame((await app.inject('/stats')).json(), {
    total_messages: 0,
    senders_count: 0,
    messages_per_sender: [],
    first_message_ts: null,
    last_message_ts: null,
  })
  await postAll(t, app, [
    { message_id: '1', from: '+20', ts: '2025-01-15T10:00:00.5Z' },
    { message_id: '2', from: '+20', ts: '2025-01-15T10:00:00Z' },
    { message_id: '3', from: '+10', ts: '2025-01-15T10:00:00.25Z' },
    { message_id: '4', from: '+30', ts: '2025-01-15T10:00:00.1Z' },
  ])
  t.strictSame((await app.inject('/stats')).json(), {
    total_messages: 4,
    senders_count: 3,
    messages_per_sender: [
      { from: '+20', count: 2 },
      { from: '+10', count: 1 },
      { from: '+30', count: 1 },
    ],
    first_message_ts: '2025-01-15T10:00:00Z',
    last_message_ts: '2025-01-15T10:00:00.5Z',
  })
})

interface Timeline {
  since: string
  until: string
  data: { start: string; count: number }[]
}

t.test('counts messages by day, hour and minute, with zeros', async (t) => {
  const { app } = await startApp(t)
  await postAll(t, app, [
    { message_id: '1', from: '+1', ts: '2025-01-15T10:00:00Z' },
    { message_id: '2', from: '+2', ts: '2025-01-15T18:29:59.999Z' },
    { message_id: '3', from: '+1', ts: '2025-01-15T18:30:00Z' },
    { message_id: '4', from: '+1', ts: '2025-01-17T00:00:00Z' },
  ])
  const day = '/stats/timeline?bucket=day&since=2025-01-15T00:00:00Z&until=2025-01-17T00:00:00Z'
  t.strictSame((await app.inject(day)).json(), {
    bucket: 'day',
    tz: 'UTC',
    since: '2025-01-15T00:00:00Z',
    until: '2025-01-17T00:00:00Z',
    data: [
      { start: '2025-01-15T00:00:00Z', count: 3 },
      { start: '2025-01-16T00:00:00Z', count: 0 },
    ],
  })
  const counts = async (url: string) =>
    (await app.inject(url)).json<Timeline>().data.map(({ count }) => count)
  t.strictSame((await app.inject(`${day}&tz=Asia/Kolkata`)).json<Timeline>().data, [
    { start: '2025-01-14T18:30:00Z', count: 2 },
    { start: '2025-01-15T18:30:00Z', count: 1 },
    { start: '2025-01-16T18:30:00Z', count: 0 },
  ])
  t.strictSame(await counts(`${day}&from=+2`), [1, 0], 'a bare + arrives as a space')
  t.strictSame(await counts(`${day}&from=%2B1`), [2, 0])
  t.strictSame(await counts(`${day}&from=%2B9`), [0, 0])
  const cut = '/stats/timeline?since=2025-01-15T15:30:00%2B05:30&until=2025-01-15T18:29:59.9991Z'
  t.strictSame(await counts(cut), [1, 0, 0, 0, 0, 0, 0, 0, 1], 'bucket defaults to hour')
  t.strictSame(
    await counts(
      '/stats/timeline?since=2025-01-15T18:30:00.1Z&until=2025-01-15T18:31:00Z&bucket=minute',
    ),
    [0],
  )
})

t.test('a timeline ends at the present by default', async (t) => {
  const { app } = await startApp(t)
  const now = new Date(Date.now() - 1000).toISOString()
  await postAll(t, app, [{ message_id: '1', ts: now }])
  for (const [bucket, spanMs] of [
    ['minute', 3_600_000],
    ['hour', 48 * 3_600_000],
    ['day', 30 * 24 * 3_600_000],
  ] as const) {
    const { since, until, data } = (
      await app.inject(`/stats/timeline?bucket=${bucket}`)
    ).json<Timeline>()
    t.equal(Date.parse(until) - Date.parse(since), spanMs)
    t.equal(
      data.reduce((sum, { count }) => sum + count, 0),
      1,
    )
  }
})

t.test('returns 422 for an invalid timeline', async (t) => {
  const { app } = await startApp(t)
  for (const [query, name] of [
    ['bucket=week', 'bucket'],
    ['bucket=', 'bucket'],
    ['tz=Mars/Olympus', 'tz'],
    ['tz=', 'tz'],
    ['tz=%00', 'tz'],
    ['since=yesterday', 'since'],
    ['until=2025-02-30T00:00:00Z', 'until'],
    ['from=%00', 'from'],
    ['since=2025-01-16T00:00:00Z&until=2025-01-15T00:00:00Z', 'since'],
    ['since=2025-01-15T00:00:00Z&until=2025-01-15T00:00:00Z', 'since'],
    ['since=0000-01-01T00:00:00Z', 'since'],
    ['bucket=minute&since=2025-01-01T00:00:00Z&until=2025-01-02T01:00:00.1Z', 'since'],
  ] as const) {
    const response = await app.inject(`/stats/timeline?${query}`)
    t.equal(response.statusCode, 422, query)
    t.match(response.json(), { detail: [{ loc: ['query', name] }] }, query)
  }
  const many = await app.inject('/stats/timeline?since=0000-01-01T00:00:00Z')
  t.match(many.json().detail[0].msg, /more than 1500 buckets; use a later since/)
})

t.test('cancels a timeline whose client disconnects', async (t) => {
  const { app } = await startApp(t)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const controller = new AbortController()
  const cancelled = new Promise<void>((resolve) => {
    app.store.timeline = (_query, signal) =>
      new Promise((_resolve, reject) => {
        controller.abort()
        signal?.addEventListener('abort', () => {
          resolve()
          reject(new Error('cancelled'))
        })
      })
  })
  await t.rejects(fetch(`${url}/stats/timeline?from=+1`, { signal: controller.signal }))
  await cancelled
})
