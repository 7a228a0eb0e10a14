import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import {
  type Attributes,
  propagation,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  AlwaysOffSampler,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import Fastify, { type InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import type { App } from '../../src/app.ts'
import { StoreUnavailableError } from '../../src/db/message-store.ts'
import requestTracker from '../../src/plugins/request-tracker.ts'
import tracing from '../../src/plugins/tracing.ts'
import { createDatabase, NO_SERVER } from '../db/postgres/server.ts'
import { folderOf, post, sign, startApp, startService, wire } from '../service.ts'

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const PARENT_ID = 'b7ad6b7169203331'
const TRACEPARENT = `00-${TRACE_ID}-${PARENT_ID}-01`

/** Registers a real SDK for the duration of a test, and returns the exporter with its spans. */
function loadSdk(t: Test, options: ConstructorParameters<typeof TracerProvider>[0] = {}) {
  const exporter = new InMemorySpanExporter()
  const spanProcessors = [new SimpleSpanProcessor({ exporter })]
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors, ...options }))
  t.teardown(() => {
    propagation.disable()
    trace.disable()
  })
  const spansOf = (kind: SpanKind) => exporter.getFinishedSpans().filter((s) => s.kind === kind)
  return {
    serverSpans: () => spansOf(SpanKind.SERVER),
    commitSpans: () => spansOf(SpanKind.CLIENT),
  }
}

/** Makes commits wait until `release` is called. @returns `entered`, which resolves at the first one. */
function holdCommits({ store }: App) {
  const append = store.append.bind(store)
  const entered = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  store.append = async (...args) => {
    entered.resolve()
    await released.promise
    return append(...args)
  }
  return { entered: entered.promise, release: released.resolve }
}

const spanIds = (spans: { spanContext(): SpanContext }[]) =>
  spans.map((span) => span.spanContext().spanId).sort()

const linkedIds = ({ links }: ReadableSpan) => links.map(({ context }) => context.spanId).sort()

/** Opens a connection, sends a request, and returns the socket. */
async function send(url: string, request: string) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.write(request)
  return socket
}

t.test('without an SDK', async (t) => {
  t.test('adds no hooks, decorators or listeners', async (t) => {
    const app = Fastify()
    await app.register(requestTracker)
    const added: string[] = []
    const { addHook } = app
    app.addHook = (name: string) => {
      added.push(name)
      return app
    }
    app.requestTracker.onCompleted = () => added.push('onCompleted')
    await app.register(tracing, { database: { kind: 'sqlite', path: undefined } })
    app.addHook = addHook
    t.strictSame(added, [])
    t.notOk(app.hasDecorator('commitTracer'))
    t.notOk(app.hasRequestDecorator('span'))
  })

  t.test('adds no field to the log line', async (t) => {
    const { app, log } = await startApp(t)
    const headers = { 'x-signature': sign(wire({ message_id: 'm' })), traceparent: TRACEPARENT }
    t.equal((await post(app, wire({ message_id: 'm' }), headers)).statusCode, 200)
    t.equal(log.length, 1)
    t.notOk('trace_id' in (log[0] ?? {}))
  })

  t.test('does not use a provider that is registered later', async (t) => {
    const { app } = await startApp(t)
    const { serverSpans, commitSpans } = loadSdk(t)
    t.equal((await post(app, wire({ message_id: 'm' }))).statusCode, 200)
    t.strictSame([...serverSpans(), ...commitSpans()], [])
  })
})

t.test('records a post with the attributes of the HTTP conventions', async (t) => {
  const { serverSpans } = loadSdk(t)
  const { app, log } = await startApp(t)
  await post(app, wire({ message_id: 'm' }), {
    'x-signature': sign(wire({ message_id: 'm' })),
    host: 'hooks.example:8443',
  })
  const [span] = serverSpans()
  t.equal(span?.name, 'POST /webhook')
  t.strictSame(span?.attributes, {
    'http.request.method': 'POST',
    'url.path': '/webhook',
    'url.scheme': 'http',
    'network.protocol.version': '1.1',
    'http.route': '/webhook',
    'server.address': 'hooks.example',
    'server.port': 8443,
    'http.response.status_code': 200,
  })
  t.strictSame(span?.status, { code: SpanStatusCode.UNSET })
  t.equal(span?.parentSpanContext, undefined)
  const age = Date.now() - Number(span?.startTime[0]) * 1000
  t.ok(age > -1000 && age < 60_000, `starts ${age} ms ago`)
  const took = Number(span?.duration[0]) * 1000 + Number(span?.duration[1]) / 1e6
  t.ok(Math.abs(took - Number(log[0]?.latency_ms)) < 1, `${took} ms is the latency in the log`)
})

t.test('continues the trace of the traceparent header, and logs its id', async (t) => {
  const { serverSpans } = loadSdk(t)
  const { app, log } = await startApp(t)
  await app.inject({ url: '/stats', headers: { traceparent: TRACEPARENT } })
  await app.inject({ url: '/stats', headers: { traceparent: '00-xyz' } })
  const [continued, started] = serverSpans()
  t.equal(continued?.spanContext().traceId, TRACE_ID)
  t.match(continued?.parentSpanContext, { spanId: PARENT_ID, isRemote: true })
  t.equal(started?.parentSpanContext, undefined)
  t.strictSame(
    log.map(({ trace_id }) => trace_id),
    [TRACE_ID, started?.spanContext().traceId],
  )
})

t.test('records the outcome of every kind of request, and no values of its input', async (t) => {
  const { serverSpans } = loadSdk(t)
  const { app, log } = await startApp(t)
  app.store.stats = () => Promise.reject(new Error('inner reason'))
  const requests: [request: InjectOptions, name: string, expected: Attributes][] = [
    [
      { url: '/messages?from=%2B4915112345678&q=4915112345678' },
      'GET /messages',
      { 'http.response.status_code': 200, 'url.path': '/messages' },
    ],
    [
      { url: '/messages/4915112345678' },
      'GET /messages/:message_id',
      { 'http.response.status_code': 404, 'url.path': '/messages/:message_id' },
    ],
    [
      { method: 'POST', url: '/webhook', payload: '{"text":"4915112345678"}' },
      'POST /webhook',
      { 'http.response.status_code': 401 },
    ],
    [
      { url: '/nowhere/4915112345678?x=4915112345678' },
      'GET',
      { 'http.response.status_code': 404, 'url.path': '/nowhere/…', 'http.route': undefined },
    ],
    [
      // The types of inject have fewer methods than HTTP.
      { method: 'PROPFIND' as 'GET', url: '/stats' },
      'HTTP /stats',
      {
        'http.response.status_code': 405,
        'http.request.method': '_OTHER',
        'http.request.method_original': 'PROPFIND',
      },
    ],
    [
      { url: '/%zz?4915112345678' },
      'GET',
      { 'http.response.status_code': 400, 'url.path': '/…zz' },
    ],
    [{ url: '/stats' }, 'GET /stats', { 'http.response.status_code': 500, 'error.type': '500' }],
  ]
  for (const [request] of requests) await app.inject(request)
  const spans = serverSpans()
  t.equal(spans.length, requests.length)
  for (const [n, [, name, expected]] of requests.entries()) {
    const span = spans[n]
    t.equal(span?.name, name)
    for (const [key, value] of Object.entries(expected)) t.equal(span?.attributes[key], value, name)
    const isFailure = Number(expected['http.response.status_code']) >= 500
    t.equal(span?.status.code, isFailure ? SpanStatusCode.ERROR : SpanStatusCode.UNSET, name)
    t.equal('error.type' in (span?.attributes ?? {}), isFailure, name)
    t.equal(log[n]?.trace_id, span?.spanContext().traceId, name)
  }
  const recorded = JSON.stringify(spans.map(({ name, attributes }) => ({ name, attributes })))
  t.notMatch(recorded, /49151|\?/)
})

t.test('does not trace health checks and scrapes of the metrics', async (t) => {
  const { serverSpans } = loadSdk(t)
  const { app, log } = await startApp(t)
  for (const url of ['/health/live', '/health/ready', '/metrics']) await app.inject(url)
  t.strictSame(serverSpans(), [])
  t.notOk(log.some((line) => 'trace_id' in line))
})

t.test('records no status for a client that disconnected, and its commit', async (t) => {
  const { serverSpans, commitSpans } = loadSdk(t)
  const { app } = await startApp(t)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const { entered, release } = holdCommits(app)
  const body = wire({ message_id: 'm' })
  const socket = await send(
    url,
    `POST /webhook HTTP/1.1\r\nHost: x\r\nX-Signature: ${sign(body)}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  await entered
  // A reset, since the client may still read after a FIN.
  socket.resetAndDestroy()
  const nextRequest = once(app.server, 'request')
  await fetch(`${url}/health/live`)
  await nextRequest
  release()
  await app.close()
  const [span] = serverSpans()
  t.equal(span?.attributes['error.type'], '499')
  t.notOk('http.response.status_code' in (span?.attributes ?? {}))
  t.equal(span?.status.code, SpanStatusCode.UNSET)
  t.strictSame(commitSpans().map(linkedIds), [spanIds(serverSpans())])
})

t.test('links each commit to the requests whose messages it stores', async (t) => {
  const { serverSpans, commitSpans } = loadSdk(t)
  const { app } = await startApp(t)
  const { entered, release } = holdCommits(app)
  const first = post(app, wire({ message_id: 'first' }))
  await entered
  const others = ['second', 'third'].map((message_id) => post(app, wire({ message_id })))
  while (app.batcher.waiting < others.length) await new Promise(setImmediate)
  release()
  for (const { statusCode } of await Promise.all([first, ...others])) t.equal(statusCode, 200)

  const [single, batch] = commitSpans()
  t.equal(commitSpans().length, 2)
  t.equal(single?.name, 'INSERT messages')
  t.equal(batch?.name, 'BATCH INSERT messages')
  t.equal(single?.links.length, 1)
  t.equal(batch?.links.length, 2)
  const linked = [single, batch].flatMap((span) => span?.links ?? [])
  t.strictSame(linked.map(({ context }) => context.spanId).sort(), spanIds(serverSpans()))
  const traces = new Set(serverSpans().map((span) => span.spanContext().traceId))
  for (const span of [single, batch]) {
    t.equal(span?.parentSpanContext, undefined)
    t.notOk(traces.has(span?.spanContext().traceId ?? ''), 'a trace of its own')
  }
})

t.test('links at most 128 requests', async (t) => {
  const { commitSpans } = loadSdk(t)
  const { app } = await startApp(t)
  const { entered, release } = holdCommits(app)
  const posts = Array.from({ length: 300 }, (_, n) => post(app, wire({ message_id: `m${n}` })))
  await entered
  while (app.batcher.waiting < 200) await new Promise(setImmediate)
  release()
  for (const { statusCode } of await Promise.all(posts)) t.equal(statusCode, 200)
  const large = commitSpans().find(({ attributes }) => {
    return Number(attributes['db.operation.batch.size']) >= 200
  })
  t.equal(large?.links.length, 128)
  t.equal(large?.droppedLinksCount, 0)
})

t.test('logs the id of a trace that is not sampled, and links no commit to it', async (t) => {
  const { serverSpans } = loadSdk(t, { sampler: new AlwaysOffSampler() })
  const { app, log } = await startApp(t)
  const headers = { 'x-signature': sign(wire({ message_id: 'm' })), traceparent: TRACEPARENT }
  t.equal((await post(app, wire({ message_id: 'm' }), headers)).statusCode, 200)
  t.strictSame(serverSpans(), [])
  t.equal(log[0]?.trace_id, TRACE_ID)
})

for (const [name, skip, databaseOf] of [
  ['SQLite', false, undefined],
  ['PostgreSQL', NO_SERVER, createDatabase],
] as const) {
  t.test(
    `${name}: records commits with the attributes of the database conventions`,
    {
      skip,
    },
    async (t) => {
      const { serverSpans, commitSpans } = loadSdk(t)
      const url = await databaseOf?.(t)
      const database = url
        ? { kind: 'postgres' as const, url }
        : { kind: 'sqlite' as const, path: undefined }
      const { app, log } = await startApp(t, { database })
      const { hostname, port, pathname } = new URL(url ?? 'postgres://none')
      const system = url
        ? {
            'db.system.name': 'postgresql',
            'db.namespace': pathname.slice(1),
            'server.address': hostname,
            ...(port === '' || port === '5432' ? {} : { 'server.port': Number(port) }),
          }
        : { 'db.system.name': 'sqlite' }
      await post(app, wire({ message_id: 'm' }))
      const [stored] = commitSpans()
      t.equal(stored?.name, 'INSERT messages')
      t.strictSame(stored?.attributes, {
        ...system,
        'db.collection.name': 'messages',
        'db.operation.name': 'INSERT',
      })
      t.strictSame(stored?.status, { code: SpanStatusCode.UNSET })
      t.strictSame(stored && linkedIds(stored), spanIds(serverSpans()))

      const cause = Object.assign(new Error('no space left on device'), { code: '53100' })
      app.store.append = () => Promise.reject(new StoreUnavailableError('disk full', { cause }))
      t.equal((await post(app, wire({ message_id: 'n' }))).statusCode, 503)
      const failed = commitSpans()[1]
      t.strictSame(failed?.status, { code: SpanStatusCode.ERROR, message: 'disk full' })
      t.match(failed?.attributes, { 'error.type': '53100', 'db.response.status_code': '53100' })
      t.match(failed?.events, [{ name: 'exception' }])
      const request = serverSpans()[1]
      t.match(request, { status: { code: SpanStatusCode.ERROR } })
      t.equal(request?.attributes['error.type'], '503')
      t.equal(log[1]?.trace_id, request?.spanContext().traceId)
    },
  )
}

for (const [failure, forceFlush] of [
  ['fails', () => Promise.reject(new Error('no collector'))],
  ['does not end', () => new Promise<void>(() => {})],
] as const) {
  t.test(`closes with a warning if the last export ${failure}`, async (t) => {
    const processor = { onStart() {}, onEnd() {}, forceFlush, shutdown: async () => {} }
    loadSdk(t, { spanProcessors: [processor] })
    const { app, log } = await startApp(t)
    await app.close()
    t.match(log, [{ level: 'WARNING', msg: 'the last spans could not be exported' }])
  })
}

t.test(
  'a service that preloads an SDK with --import exports all spans when it stops',
  async (t) => {
    const file = join(folderOf(t), 'spans.ndjson')
    const preload = new URL('../tracing-sdk.ts', import.meta.url)
    const service = await startService(t, {
      NODE_OPTIONS: `--import ${preload}`,
      TEST_SPANS: file,
    })
    const body = wire({ message_id: 'm' })
    const headers = {
      'content-type': 'application/json',
      'x-signature': sign(body),
      traceparent: TRACEPARENT,
    }
    const response = await fetch(`${service.url}/webhook`, { method: 'POST', headers, body })
    t.equal(response.status, 200)
    service.process.kill('SIGTERM')
    t.equal(await service.ended, 0)
    t.ok(service.log.some(({ msg }) => String(msg).startsWith('tracing requests and commits')))
    t.match(
      service.log.filter(({ path }) => path === '/webhook'),
      [{ trace_id: TRACE_ID }],
    )
    const spans = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    t.match(
      spans.find(({ name }) => name === 'POST /webhook'),
      { parentSpanId: PARENT_ID, attributes: { 'http.response.status_code': 200 } },
    )
    t.match(
      spans.find(({ name }) => name === 'INSERT messages'),
      { links: [{ context: { traceId: TRACE_ID } }] },
    )
  },
)
