import t, { type Test } from 'tap'
import { until } from '../../tools/until.ts'
import { eventsOf, linesOf, openStream, take } from '../event-stream.ts'
import { post, postAll, sign, startApp, startService, wire } from '../service.ts'

type App = Awaited<ReturnType<typeof startApp>>['app']

const EVENTS = { accept: 'text/event-stream' }

/** Posts a message to a service. */
async function postTo(url: string, body: string): Promise<void> {
  const headers = { 'content-type': 'application/json', 'x-signature': sign(body) }
  const { status } = await fetch(`${url}/webhook`, { method: 'POST', headers, body })
  if (status !== 200) throw new Error(`status ${status}`)
}

/** Returns the page at a URL. */
async function get(t: Test, app: App, url: string) {
  const response = await app.inject(url)
  t.equal(response.statusCode, 200, response.body)
  return response.json()
}

const idsOf = ({ data }: { data: { message_id: string }[] }) => data.map((one) => one.message_id)

/** Stores messages, and waits until the feed has the last one. */
async function store(t: Test, app: App, ids: string[], fields = {}): Promise<void> {
  await postAll(
    t,
    app,
    ids.map((message_id) => ({ message_id, ...fields })),
  )
  await until(`the feed has ${ids.at(-1)}`, async () =>
    idsOf(await get(t, app, '/feed?limit=1000')).includes(ids.at(-1) ?? ''),
  )
}

t.test('serves every message once, in the order in which they were stored', async (t) => {
  const { app } = await startApp(t)
  const empty = await get(t, app, '/feed')
  t.match(empty, { data: [], next: String, done: true })
  await store(t, app, ['c', 'a', 'b'])
  const first = await get(t, app, '/feed?limit=2')
  t.same(idsOf(first), ['c', 'a'])
  t.match(first.data[0], { text: null, source: 'webhook', type: 'text', payload: null })
  t.equal(first.done, false)
  const second = await get(t, app, `/feed?cursor=${first.next}`)
  t.same(idsOf(second), ['b'])
  t.equal(second.done, true)
  t.same(idsOf(await get(t, app, `/feed?cursor=${empty.next}`)), ['c', 'a', 'b'])
  t.same(await get(t, app, `/feed?cursor=${second.next}`), { ...second, data: [] })
})

t.test('a filtered feed advances past what it leaves out', async (t) => {
  const { app } = await startApp(t)
  await store(t, app, ['a', 'b'], { from: '+1', text: 'Straße' })
  await store(t, app, ['c'], { from: '+2' })
  const page = await get(t, app, '/feed?from= 1&q=STRASSE&limit=10')
  t.same(idsOf(page), ['a', 'b'])
  t.same(await get(t, app, `/feed?cursor=${page.next}`), { ...page, data: [] })
  t.same(idsOf(await get(t, app, '/feed?source=none')), [])
})

t.test('after=now begins at the end', async (t) => {
  const { app } = await startApp(t)
  await store(t, app, ['a'])
  const now = await get(t, app, '/feed?after=now')
  t.match(now, { data: [], done: true })
  await store(t, app, ['b'])
  t.same(idsOf(await get(t, app, `/feed?cursor=${now.next}`)), ['b'])
})

t.test('wait answers as soon as a message matches', async (t) => {
  const { app } = await startApp(t)
  await store(t, app, ['a'])
  const waiting = get(t, app, '/feed?after=now&wait=30&from=+2')
  await until('the request waits', async () => app.feed.waiting > 0)
  await store(t, app, ['b'], { from: '+1' })
  await store(t, app, ['c'], { from: '+2' })
  const page = await waiting
  t.same(idsOf(page), ['c'])
  t.equal(page.done, true)
  const { next } = await get(t, app, `/feed?cursor=${page.next}&wait=1`)
  t.equal(next, page.next, 'nothing more')
})

t.test('rejects invalid cursors, and a cursor of another database with 410', async (t) => {
  const { app } = await startApp(t)
  await store(t, app, ['a'])
  for (const query of [
    'cursor=x',
    'cursor=1~short',
    'after=then',
    'cursor=0&after=now',
    'wait=x',
  ]) {
    t.equal((await app.inject(`/feed?${query}`)).statusCode, 422, query)
  }
  const stale = await app.inject('/feed?cursor=9.9~otherMsg')
  t.equal(stale.statusCode, 410)
  t.same(idsOf(await get(t, app, `/feed?cursor=${stale.json().oldest}`)), ['a'])
})

t.test('streams server-sent events, and resumes after the last one', async (t) => {
  const { url, process, ended } = await startService(t)
  await postTo(url, wire({ message_id: 'a' }))
  const response = await openStream(t, `${url}/feed`, EVENTS)
  t.match(response.headers['content-type'], /^text\/event-stream/)
  const events = eventsOf(response)
  const [first] = await take(events, 1)
  t.match(JSON.parse(first?.data ?? ''), { message_id: 'a', payload: null })
  await postTo(url, wire({ message_id: 'b', text: 'line\r\nbreak' }))
  const [second] = await take(events, 1)
  t.match(JSON.parse(second?.data ?? ''), { message_id: 'b', text: 'line\r\nbreak' })

  const resumed = await openStream(t, `${url}/feed`, {
    ...EVENTS,
    'last-event-id': first?.id ?? '',
  })
  t.same(await take(eventsOf(resumed), 1), [second])
  const reset = await openStream(t, `${url}/feed?cursor=9.9~otherMsg`, EVENTS)
  t.match(await take(eventsOf(reset), 1), [{ event: 'reset', data: /^\{"oldest":"[^"]+"\}$/ }])

  process.kill('SIGTERM')
  for await (const { data } of events) t.notOk(data, 'the stream ends without a message')
  t.equal(await ended, 0)
})

t.test('streams lines with cursors', async (t) => {
  const { url } = await startService(t)
  await postTo(url, wire({ message_id: 'a' }))
  const accept = { accept: 'application/x-ndjson' }
  const lines = linesOf(await openStream(t, `${url}/feed`, accept))
  const { value: line = '' } = await lines.next()
  const { cursor, ...message } = JSON.parse(line)
  t.equal(message.message_id, 'a')
  await postTo(url, wire({ message_id: 'b' }))
  const next = await lines.next()
  t.equal(JSON.parse(next.value ?? '').message_id, 'b')
  const resumed = await openStream(t, `${url}/feed?cursor=${cursor}`, accept)
  t.same(await linesOf(resumed).next(), next)
})

t.test('requests that follow the feed have a limit of their own', async (t) => {
  const { app } = await startApp(t, { maxStreams: 2 })
  const waiting = [1, 2].map(() => get(t, app, '/feed?after=now&wait=30'))
  await until('both wait', async () => app.feed.waiting === 2)
  t.equal((await app.inject('/feed?wait=30')).statusCode, 503)
  t.equal((await app.inject({ url: '/feed', headers: EVENTS })).statusCode, 503)
  t.equal((await app.inject('/feed')).statusCode, 200)
  t.equal((await post(app, wire({ message_id: 'a' }))).statusCode, 200)
  for (const page of await Promise.all(waiting)) t.same(idsOf(page), ['a'])
})

t.test('draining ends the requests that follow the feed', async (t) => {
  const { app } = await startApp(t)
  const waiting = get(t, app, '/feed?after=now&wait=30')
  await until('the request waits', async () => app.feed.waiting > 0)
  app.shutdown.drain()
  t.match(await waiting, { data: [], done: true })
  t.match(await get(t, app, '/feed?wait=30'), { data: [], done: true })
})
