import client from '@prometheus-io/client'
import type { FastifyInstance, RouteOptions } from 'fastify'
import fastifyMetrics from 'fastify-metrics'
import fp from 'fastify-plugin'
import packageJson from '../../package.json' with { type: 'json' }
import type { PoolUsage, StoreSize } from '../db/message-store.ts'
import { CONCURRENCY_CLASSES } from './admission.ts'
import type { RejectionReason, WebhookResult } from './request-tracker.ts'
import type { SigningKey } from './signature.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Everything this instance measures; its own, so that several instances live in one process. */
    registry: client.Registry
    measures: Measures
  }
}

/** Why a request got a 429. */
export type LimitReason = 'requests' | 'failures'

/** What the inbox tells of itself. */
export interface Measures {
  /** Hears of every commit: its messages and its seconds, from the batch's departure to its outcomes. */
  commit(messages: number, seconds: number): void
  /** Asked at each scrape; must not wait for anything. */
  batcher: () => { waiting: number; backlog: number; walBytes: number }
  /** Signatures that were right, by the secret that made them; read at each scrape. */
  signatures: Record<SigningKey, number>
  /** Called with what each 429 was for. */
  limited(reason: LimitReason): void
  /** Called with the `ts` of each message that was stored for the first time. */
  delivered(ts: string): void
  /** Whether the service takes messages, as far as is known without asking the database. */
  ready: () => boolean
  /** Whether the last readiness check of the database succeeded. */
  databaseReady: boolean
  /** The store's pools, read from memory. */
  pools: () => Readonly<Record<string, PoolUsage>>
  /** The store when it was last measured; undefined before. */
  size: StoreSize | undefined
}

/** The `path` of whatever matches no route, so that strangers cannot make time series. */
const UNMATCHED = 'unmatched'

/** Seconds; finest where a message on a local disk is answered. */
const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Seconds from a message's `ts` to its being stored. */
const DELAY_BUCKETS = [0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400]

/** A delay beyond this counts as this: one absurd `ts` must not swamp the sum. */
const MAX_DELAY_S = 7 * 86_400

/** Statuses that every route may end with and that no schema of a route names; 499: the client went away. */
const COMMON_STATUSES = ['400', '408', '431', '499']

/** Status of a path that is too long: no route has been found yet, so it is counted as unmatched. */
const URI_TOO_LONG = '414'

/** Metrics of Node's collectors that `promtool check metrics` rejects for their names. */
const MISNAMED = [
  'nodejs_eventloop_utilization_histogram',
  'nodejs_eventloop_utilization_summary',
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
]

/** Messages. */
const BATCH_BUCKETS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]

const INBOX_GAUGES = [
  ['ingest_queue_messages', 'Messages that wait for their commit to begin.', 'waiting'],
  [
    'store_backlog_messages',
    'Committed messages that counters and indexes were not derived from yet.',
    'backlog',
  ],
  ['store_wal_bytes', 'Size of the write-ahead log at the last commit.', 'walBytes'],
] as const

const WEBHOOK_RESULTS: WebhookResult[] = [
  'created',
  'duplicate',
  'invalid_signature',
  'validation_error',
  'aborted',
  'error',
]

const REJECTION_REASONS: RejectionReason[] = ['overload', 'database', 'time_limit', 'no_secret']

/** Registers the gauges; all of them are read from memory. */
function gauges(
  registry: client.Registry,
  measures: Measures,
  limits: Record<string, number>,
): void {
  const registers = [registry]
  new client.Gauge({
    name: 'build_info',
    help: 'Always 1; the version of the service and of Node.',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version: packageJson.version, node: process.versions.node }, 1)
  const limit = new client.Gauge({
    name: 'configured_limit',
    help: 'Limits as they are set, by the name of the setting; 0 for none.',
    labelNames: ['setting'],
    registers,
  })
  for (const [setting, value] of Object.entries(limits)) limit.set({ setting }, value)
  new client.Gauge({
    name: 'service_ready',
    help: '1 if the service takes messages as far as the last readiness check knows, else 0.',
    registers,
    collect() {
      this.set(measures.ready() ? 1 : 0)
    },
  })
  const sizes = [
    ['store_messages', 'Messages stored.', 'messages'],
    [
      'store_database_bytes',
      'Size of the database, the write-ahead log included.',
      'databaseBytes',
    ],
    ['store_disk_free_bytes', 'Bytes left on the disk of the database file.', 'freeBytes'],
  ] as const
  for (const [name, help, field] of sizes) {
    new client.Gauge({
      name,
      help: `${help} Measured every 15 seconds.`,
      registers,
      collect() {
        const value = measures.size?.[field]
        this.remove()
        if (value !== undefined) this.set(value)
      },
    })
  }
  new client.Gauge({
    name: 'postgres_pool_connections',
    help: 'Pools of each pool, total and idle, and callers that wait for one.',
    labelNames: ['pool', 'state'],
    registers,
    collect() {
      for (const [pool, usage] of Object.entries(measures.pools())) {
        for (const [state, count] of Object.entries(usage)) this.set({ pool, state }, count)
      }
    },
  })
}

/** Starts the series of every route and status that is documented, so that the first one is an increase. */
function startAtZero(
  app: FastifyInstance,
  requests: client.Counter<'method' | 'path' | 'status'>,
): void {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route) => {
    if (route.schema?.response) routes.push(route)
  })
  // Other plugins add answers to a route after this one has seen it.
  app.addHook('onReady', async () => {
    for (const { method, url, schema } of routes) {
      const statuses = [...Object.keys(Object.assign({}, schema?.response)), ...COMMON_STATUSES]
      for (const one of [method].flat().filter((name) => name !== 'HEAD')) {
        for (const status of statuses) {
          if (status !== URI_TOO_LONG) requests.inc({ method: one, path: url, status }, 0)
        }
      }
    }
  })
}

async function metrics(
  app: FastifyInstance,
  { droppedLines, limits }: { droppedLines: () => number; limits: Record<string, number> },
): Promise<void> {
  const registry = new client.Registry()
  app.decorate('registry', registry)

  await app.register(fastifyMetrics.default, {
    promClient: client,
    endpoint: null,
    defaultMetrics: { enabled: true, register: registry },
    // Recorded by the request tracker: this plugin omits aborted requests and doubles the cost of a message.
    routeMetrics: { enabled: false },
  })

  const durations = new client.Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the headers of a request to the last byte of its answer, by method, path and status.',
    labelNames: ['method', 'path', 'status'],
    buckets: LATENCY_BUCKETS,
    registers: [registry],
  })
  const requests = new client.Counter({
    name: 'http_requests_total',
    help: 'Total HTTP requests by method, path (the template of the route) and status.',
    labelNames: ['method', 'path', 'status'],
    registers: [registry],
  })
  const webhooks = new client.Counter({
    name: 'webhook_requests_total',
    help: 'Total webhook requests by result.',
    labelNames: ['result'],
    registers: [registry],
  })
  const conflicts = new client.Counter({
    name: 'webhook_conflicting_duplicates_total',
    help: 'Messages whose id was known with other content; the first one stays.',
    registers: [registry],
  })
  const batches = new client.Histogram({
    name: 'ingest_batch_messages',
    help: 'Messages that shared a commit.',
    buckets: BATCH_BUCKETS,
    registers: [registry],
  })
  const commits = new client.Histogram({
    name: 'ingest_commit_seconds',
    help: 'Time from the departure of a batch to its outcomes, synced to disk.',
    buckets: LATENCY_BUCKETS,
    registers: [registry],
  })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
  const limited = new client.Counter({
    name: 'http_requests_limited_total',
    help: 'Requests answered 429, by what the address had too many of: requests or failures.',
    labelNames: ['reason'],
    registers: [registry],
  })
  for (const reason of ['requests', 'failures']) limited.inc({ reason }, 0)
  const delays = new client.Histogram({
    name: 'webhook_delivery_delay_seconds',
    help: 'Time from the ts of a new message to its being stored; 0 for a ts in the future, 7 days at most.',
    buckets: DELAY_BUCKETS,
    registers: [registry],
  })
  const measures: Measures = {
    commit(messages, seconds) {
      batches.observe(messages)
      commits.observe(seconds)
    },
    batcher: () => ({ waiting: 0, backlog: 0, walBytes: 0 }),
    signatures: { current: 0, previous: 0 },
    limited: (reason) => limited.inc({ reason }),
    delivered(ts) {
      const delay = (Date.now() - Date.parse(ts)) / 1000
      delays.observe(Math.min(Math.max(delay, 0), MAX_DELAY_S))
    },
    ready: () => false,
    databaseReady: true,
    pools: () => ({}),
    size: undefined,
  }
  app.decorate('measures', measures)
  new client.Counter({
    name: 'webhook_signatures_total',
    help: 'Right signatures by the secret that made them: current or previous.',
    labelNames: ['key'],
    registers: [registry],
    collect() {
      this.reset()
      const { current, previous } = measures.signatures
      this.inc({ key: 'current' }, current)
      this.inc({ key: 'previous' }, previous)
    },
  })
  for (const [name, help, field] of INBOX_GAUGES) {
    new client.Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(measures.batcher()[field])
      },
    })
  }
  new client.Counter({
    name: 'log_lines_dropped_total',
    help: 'Log lines dropped because their reader had stalled.',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(droppedLines())
    },
  })
  const refusals = new client.Counter({
    name: 'http_requests_rejected_total',
    help: 'Requests that were not served for now (503), by reason.',
    labelNames: ['reason'],
    registers: [registry],
  })
  new client.Gauge({
    name: 'http_requests_in_flight',
    help: 'Requests in flight by concurrency class: unverified (posts), ingest, read, public or probe.',
    labelNames: ['class'],
    registers: [registry],
    collect() {
      for (const name of CONCURRENCY_CLASSES) this.set({ class: name }, app.admission.count(name))
    },
  })
  for (const result of WEBHOOK_RESULTS) webhooks.inc({ result }, 0)
  for (const reason of REJECTION_REASONS) refusals.inc({ reason }, 0)

  gauges(registry, measures, limits)
  startAtZero(app, requests)

  const results = new Map(WEBHOOK_RESULTS.map((result) => [result, webhooks.labels(result)]))
  // The two series of what ended alike, looked up once: there are as many as methods, routes and statuses.
  const seriesOf = (labels: [method: string, path: string, status: string]) => ({
    requests: requests.labels(...labels),
    durations: durations.labels(...labels),
  })
  const known = new Map<string, ReturnType<typeof seriesOf>>()
  app.requestTracker.onCompleted(({ method, route = UNMATCHED, status, latencyMs, logFields }) => {
    const name = `${method} ${status} ${route}`
    let series = known.get(name)
    if (!series) {
      series = seriesOf([method, route, String(status)])
      known.set(name, series)
    }
    series.requests.inc()
    series.durations.observe(latencyMs / 1000)
    if (logFields.result) results.get(logFields.result)?.inc()
    if (logFields.conflict) conflicts.inc()
    if (logFields.rejected) refusals.inc({ reason: logFields.rejected })
  })
}

export default fp(metrics, { name: 'metrics', dependencies: ['request-tracker'] })
