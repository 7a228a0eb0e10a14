import { spawnSync } from 'node:child_process'
import t from 'tap'
import type { App } from '../../src/app.ts'
import { post, sign, startApp, wire } from '../service.ts'

/** Returns the lines of a scrape that start with this prefix. */
async function scrape(app: App, name: string): Promise<string[]> {
  const { body } = await app.inject('/metrics')
  return body.split('\n').filter((line) => line.startsWith(name))
}

t.test('starts the counter of every webhook result at 0', async (t) => {
  const { app } = await startApp(t)
  t.same(
    await scrape(app, 'webhook_requests_total'),
    ['created', 'duplicate', 'invalid_signature', 'validation_error', 'aborted', 'error'].map(
      (result) => `webhook_requests_total{result="${result}"} 0`,
    ),
  )
})

t.test('counts webhook requests by result', async (t) => {
  const { app } = await startApp(t)
  const body = wire({ message_id: 'm' })
  t.same(await scrape(app, 'webhook_conflicting'), ['webhook_conflicting_duplicates_total 0'])
  await post(app, body)
  await post(app, body)
  await post(app, wire({ message_id: 'm', text: 'other' }))
  await post(app, body, {})
  await post(app, '{}')
  await post(app, 'x'.repeat(70_000), {})
  await post(app, 'x', { 'x-signature': sign('x'), 'content-type': 'text/plain' })
  app.store.append = () => Promise.reject(new Error('broken'))
  await post(app, body)
  t.same(await scrape(app, 'webhook_requests_total'), [
    'webhook_requests_total{result="created"} 1',
    'webhook_requests_total{result="duplicate"} 2',
    'webhook_requests_total{result="invalid_signature"} 1',
    'webhook_requests_total{result="validation_error"} 3',
    'webhook_requests_total{result="aborted"} 0',
    'webhook_requests_total{result="error"} 1',
  ])
  t.same(await scrape(app, 'webhook_conflicting'), ['webhook_conflicting_duplicates_total 1'])
})

t.test(
  'counts and times requests by method, route template and status, unmatched ones together',
  async (t) => {
    const { app } = await startApp(t)
    await app.inject('/messages?limit=1')
    await app.inject('/messages?limit=2')
    await app.inject('/messages?limit=x')
    await app.inject({ method: 'DELETE', url: '/messages' })
    for (const url of ['/a', '/b', '/c/d', '/%zz']) await app.inject(url)
    const counts = [
      '{method="GET",path="/messages",status="200"} 2',
      '{method="GET",path="/messages",status="422"} 1',
      '{method="DELETE",path="/messages",status="405"} 1',
      '{method="GET",path="unmatched",status="404"} 3',
      '{method="GET",path="unmatched",status="400"} 1',
    ]
    const counted = await scrape(app, 'http_requests_total{')
    t.same(
      counted.filter((line) => !line.endsWith(' 0')).sort(),
      counts.map((line) => `http_requests_total${line}`).sort(),
    )
    const timed = await scrape(app, 'http_request_duration_seconds_count{')
    t.same(
      timed.map((line) => line.replace('http_request_duration_seconds_count', '')),
      [...counts, '{method="GET",path="/metrics",status="200"} 1'],
    )
  },
)

t.test('reports metrics of the process without accessing the database', async (t) => {
  const { app } = await startApp(t)
  await app.store.close()
  const response = await app.inject('/metrics')
  t.equal(response.statusCode, 200)
  t.match(response.headers['content-type'], /^text\/plain; version=0\.0\.4/)
  t.match(response.body, /^process_resident_memory_bytes \d/m)
  t.match(response.body, /^nodejs_eventloop_lag_seconds/m)
})

t.test('two instances in one process have separate metrics', async (t) => {
  const { app: one } = await startApp(t)
  const { app: other } = await startApp(t)
  await one.inject('/stats')
  const [line] = (await scrape(one, 'http_requests_total{')).filter((one) => !one.endsWith(' 0'))
  t.match(line, '{method="GET",path="/stats",status="200"} 1')
  t.ok((await scrape(other, 'http_requests_total{')).every((one) => one.endsWith(' 0')))
})

t.test('reports batches, commits and the backlog of the store', async (t) => {
  const { app } = await startApp(t)
  await Promise.all(['a', 'b', 'c'].map((message_id) => post(app, wire({ message_id }))))
  await app.store.catchUp()
  t.same(await scrape(app, 'ingest_queue_messages'), ['ingest_queue_messages 0'])
  t.same(await scrape(app, 'ingest_batch_messages_sum'), ['ingest_batch_messages_sum 3'])
  t.match(await scrape(app, 'ingest_commit_seconds_count'), [/ [1-3]$/])
  t.same(await scrape(app, 'store_backlog_messages'), ['store_backlog_messages 0'])
  t.match(await scrape(app, 'store_wal_bytes'), [/ [1-9]\d+$/])
})

t.test('counts a 414 as unmatched only', async (t) => {
  const { app } = await startApp(t)
  t.equal((await app.inject(`/messages/${'x'.repeat(7000)}`)).statusCode, 414)
  const series = await scrape(app, 'http_requests_total{')
  t.same(
    series.filter((line) => line.includes('status="414"')),
    ['http_requests_total{method="GET",path="unmatched",status="414"} 1'],
  )
})

t.test('starts the counters of every documented status but 414 at 0', async (t) => {
  const { app } = await startApp(t, { apiTokens: ['x'], maxRequestsPerMinute: 100 })
  const { paths } = (await app.inject('/openapi.json')).json()
  const series = await scrape(app, 'http_requests_total{')
  for (const [path, operations] of Object.entries<Record<string, { responses: object }>>(paths)) {
    for (const [method, { responses }] of Object.entries(operations)) {
      for (const status of Object.keys(responses)) {
        if (status === '414') continue
        const template = path.replaceAll(/\{(\w+)\}/g, ':$1')
        const labels = `method="${method.toUpperCase()}",path="${template}",status="${status}"`
        t.ok(series.includes(`http_requests_total{${labels}} 0`), labels)
      }
    }
  }
})

const { error: noPromtool } = spawnSync('promtool', ['--version'])
const skip = noPromtool !== undefined && 'promtool is not installed: install the package prometheus'

t.test('promtool reports no problems', { skip }, async (t) => {
  const { app } = await startApp(t)
  await post(app, wire({ message_id: 'm' }))
  const { body } = await app.inject('/metrics')
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: body,
    encoding: 'utf8',
  })
  t.equal(`${stdout}${stderr}`, '')
  t.equal(status, 0)
})

t.test('reports the limits, the build, readiness and the size of the store', async (t) => {
  const { app } = await startApp(t)
  t.match(await scrape(app, 'build_info{'), [/^build_info\{version="[\d.]+",node="[\d.]+"\} 1$/])
  t.ok(
    (await scrape(app, 'configured_limit{')).includes(
      'configured_limit{setting="MAX_WAITING"} 1000',
    ),
  )
  t.same(await scrape(app, 'service_ready'), ['service_ready 1'])
  t.same(await scrape(app, 'store_messages'), ['store_messages 0'])
  t.match(await scrape(app, 'store_database_bytes'), [/ [1-9]\d+$/])
  app.store.ready = () => Promise.reject(new Error('away'))
  t.equal((await app.inject('/health/ready')).statusCode, 503)
  t.same(await scrape(app, 'service_ready'), ['service_ready 0'])
})

t.test('counts each 429 by reason', async (t) => {
  const { app } = await startApp(t, { maxFailuresPerMinute: 1, maxRequestsPerMinute: 3 })
  const limited = () => scrape(app, 'http_requests_limited_total{')
  const expected = (requests: number, failures: number) => [
    `http_requests_limited_total{reason="requests"} ${requests}`,
    `http_requests_limited_total{reason="failures"} ${failures}`,
  ]
  for (let n = 0; n < 2; n++) await post(app, '{}', {})
  t.same(await limited(), expected(0, 1))
  t.equal((await post(app, '{}', {})).statusCode, 429)
  // From the registry, as a request for /metrics would get 429, too.
  const body = await app.registry.metrics()
  t.ok(body.includes('http_requests_limited_total{reason="requests"} 1\n'))
})

t.test('records the delivery delay of new messages, between 0 and 7 days', async (t) => {
  const { app } = await startApp(t)
  const future = wire({ message_id: 'future', ts: '9999-01-01T00:00:00Z' })
  await post(app, future)
  await post(app, future)
  t.same(await scrape(app, 'webhook_delivery_delay_seconds_sum'), [
    'webhook_delivery_delay_seconds_sum 0',
  ])
  await post(app, wire({ message_id: 'ancient', ts: '0001-01-01T00:00:00.123456789Z' }))
  t.same(await scrape(app, 'webhook_delivery_delay_seconds_sum'), [
    'webhook_delivery_delay_seconds_sum 604800',
  ])
  t.same(await scrape(app, 'webhook_delivery_delay_seconds_count'), [
    'webhook_delivery_delay_seconds_count 2',
  ])
})
