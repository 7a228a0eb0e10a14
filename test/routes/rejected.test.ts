import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { until } from '../../tools/until.ts'
import { rejectedBody } from '../db/store-suite.ts'
import { post, postAll, sign, startApp, wire } from '../service.ts'

type App = Awaited<ReturnType<typeof startApp>>['app']

/** Returns the parsed body of a 200. */
async function get(t: Test, app: App, url: string) {
  const response = await app.inject(url)
  t.equal(response.statusCode, 200, response.body)
  return response.json()
}

/** Waits until this many bodies are kept or dropped. */
async function settled(app: App, count: number): Promise<Record<string, number>> {
  let outcomes: Record<string, number> = {}
  await until(`${count} bodies are kept or dropped`, async () => {
    const text = await app.registry.metrics()
    const found = text.matchAll(/^webhook_rejected_bodies_total\{outcome="(\w+)"\} (\d+)$/gm)
    outcomes = Object.fromEntries([...found].map(([, outcome, n]) => [outcome, Number(n)]))
    return Object.values(outcomes).reduce((sum, n) => sum + n, 0) >= count
  })
  return outcomes
}

t.test('keeps signed bodies that are rejected with 422 or 415', async (t) => {
  const { app } = await startApp(t)
  t.strictSame(await get(t, app, '/rejected'), { data: [] })
  const invalid = wire({ message_id: 'm', from: '9198', text: 'Ärger' })
  t.equal((await post(app, invalid)).statusCode, 422)
  t.equal((await post(app, '{')).statusCode, 422)
  const packed = gzipSync('{}')
  const coded = { 'x-signature': sign(packed), 'content-encoding': 'gzip' }
  t.equal((await post(app, packed, coded)).statusCode, 415)
  const typed = { 'x-signature': sign('a=b'), 'content-type': ';;;', 'x-other': 'x' }
  t.equal((await post(app, 'a=b', typed)).statusCode, 415)
  await settled(app, 4)

  const { data, next } = await get(t, app, '/rejected')
  t.equal(next, undefined)
  const at = /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/
  t.match(data, [
    { at, source: 'webhook', status: 415, problems: [], bytes: 3 },
    { at, source: 'webhook', status: 415, problems: [], bytes: packed.length },
    { status: 422, problems: [{ loc: ['body'], type: 'json_invalid' }], bytes: 1 },
    {
      status: 422,
      problems: [{ loc: ['body', 'from'], type: 'value_error' }],
      bytes: Buffer.byteLength(invalid),
    },
  ])
  const one = (index: number) => get(t, app, `/rejected/${data[index].id}`)
  t.strictSame(await one(3), {
    ...data[3],
    headers: { 'content-type': 'application/json' },
    body: invalid,
    body_base64: Buffer.from(invalid).toString('base64'),
  })
  t.match(await one(1), {
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    body: null,
    body_base64: packed.toString('base64'),
  })
  t.strictSame((await one(0)).headers, { 'content-type': ';;;' }, 'as it was received')
})

t.test('keeps nothing that is accepted, unsigned or not refused for its content', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 2 })
  await postAll(t, app, [{ message_id: 'm' }])
  for (const status of [401, 401, 429]) t.equal((await post(app, '{}', {})).statusCode, status)
  t.equal((await post(app, 'x'.repeat(70_000))).statusCode, 413, 'before the signature is checked')
  const { append } = app.store
  app.store.append = () => Promise.reject(new Error('broken'))
  t.equal((await post(app, wire({ message_id: 'n' }))).statusCode, 500)
  app.store.append = append
  t.equal((await post(app, '[]')).statusCode, 422)
  await settled(app, 1)
  t.match(await get(t, app, '/rejected'), { data: [{ status: 422, bytes: 2 }] })
  t.equal((await get(t, app, '/rejected')).data.length, 1)
})

t.test('writes at most 20 bodies a second, and counts the others as dropped', async (t) => {
  const { app } = await startApp(t)
  t.same(await settled(app, 0), { kept: 0, dropped: 0 })
  await Promise.all(Array.from({ length: 25 }, (_, n) => post(app, String(n))))
  t.same(await settled(app, 25), { kept: 20, dropped: 5 })
  t.equal((await get(t, app, '/rejected?limit=100')).data.length, 20)
  await post(app, 'later')
  t.same(await settled(app, 26), { kept: 21, dropped: 5 })
})

t.test('drops bodies beyond 4 MiB a second', async (t) => {
  const { app } = await startApp(t)
  const body = new Uint8Array(1024 * 1024)
  for (let n = 0; n < 6; n++) app.rejectedBodies.keep(rejectedBody({ body }))
  t.same(await settled(app, 6), { kept: 4, dropped: 2 })
})

t.test('keeps only the newest MAX_REJECTED bodies, and none if it is 0', async (t) => {
  const { app } = await startApp(t, { maxRejected: 2 })
  for (const body of ['1', '22', '333']) await post(app, body)
  await settled(app, 3)
  t.match(await get(t, app, '/rejected'), { data: [{ bytes: 3 }, { bytes: 2 }] })
  await app.close()
  const { app: off } = await startApp(t, { maxRejected: 0 })
  t.equal((await post(off, '4444')).statusCode, 422)
  await off.close()
  const { app: again } = await startApp(t)
  t.match(await get(t, again, '/rejected'), { data: [{ bytes: 3 }, { bytes: 2 }] })
})

t.test('writes the last bodies before the store closes', async (t) => {
  const { app } = await startApp(t)
  await post(app, '{}')
  await app.close()
  const { app: again } = await startApp(t)
  t.match(await get(t, again, '/rejected'), { data: [{ bytes: 2 }] })
})

t.test('an unavailable store loses a batch and is logged once', async (t) => {
  const { app, log } = await startApp(t)
  const { rejected } = app.store
  const { keep } = rejected
  rejected.keep = () => Promise.reject(new Error('unavailable'))
  const warnings = () => log.filter(({ level }) => level === 'WARNING')
  t.equal((await post(app, '1')).statusCode, 422)
  t.same(await settled(app, 1), { kept: 0, dropped: 1 })
  await post(app, '2')
  t.same(await settled(app, 2), { kept: 0, dropped: 2 })
  t.match(warnings(), [{ msg: 'rejected bodies could not be kept' }])
  t.equal(warnings().length, 1)
  rejected.keep = keep
  await post(app, '3')
  t.same(await settled(app, 3), { kept: 1, dropped: 2 })
  rejected.keep = () => Promise.reject(new Error('unavailable'))
  await post(app, '4')
  await settled(app, 4)
  t.equal(warnings().length, 2, 'again after a success')
})

t.test('serves pages, newest first, with a clamped limit', async (t) => {
  const { app } = await startApp(t)
  const bodies = Array.from({ length: 120 }, (_, n) => rejectedBody({ source: String(n) }))
  await app.store.rejected.keep(bodies, 1000)
  const sizes = []
  const seen: string[] = []
  let before = ''
  do {
    const { data, next } = await get(t, app, `/rejected?limit=999${before}`)
    sizes.push(data.length)
    seen.push(...data.map(({ source }: { source: string }) => source))
    before = next === undefined ? '' : `&before=${next}`
  } while (before !== '')
  t.same(sizes, [100, 20])
  t.strictSame(seen, bodies.map(({ source }) => source).reverse())
  t.equal((await get(t, app, '/rejected')).data.length, 50)
  t.equal((await get(t, app, '/rejected?limit=-1')).data.length, 1)
  t.strictSame(await get(t, app, '/rejected?before=-9'), { data: [] })
  t.equal((await get(t, app, `/rejected?before=${'9'.repeat(30)}`)).data.length, 50)
  const response = await app.inject('/rejected?limit=x&before=1.5')
  t.equal(response.statusCode, 422)
  t.match(response.json(), { detail: [{ loc: ['query', 'limit'] }, { loc: ['query', 'before'] }] })
})

t.test('returns 404 for an id that is not kept', async (t) => {
  const { app } = await startApp(t)
  for (const id of ['1', '0', '-1', '1.5', 'x', '9'.repeat(15), '9'.repeat(40), '%00']) {
    const response = await app.inject(`/rejected/${id}`)
    t.equal(response.statusCode, 404, id)
    t.strictSame(response.json(), { detail: 'no rejected body has this id' })
  }
})

t.test('requires an API token, and returns 503 if the store is unavailable', async (t) => {
  const { app } = await startApp(t, { apiTokens: ['token'] })
  for (const url of ['/rejected', '/rejected/1']) {
    t.equal((await app.inject(url)).statusCode, 401, url)
    const request = { url, headers: { authorization: 'Bearer token' } }
    t.equal((await app.inject(request)).statusCode, url === '/rejected' ? 200 : 404)
  }
  await app.store.close()
  const request = { url: '/rejected', headers: { authorization: 'Bearer token' } }
  t.equal((await app.inject(request)).statusCode, 503)
})
