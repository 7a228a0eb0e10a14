import client from '@prometheus-io/client'
import type { FastifyInstance, RouteOptions } from 'fastify'
import fastifyMetrics from 'fastify-metrics'
import fp from 'fastify-plugin'
import packageJson from '../../package.json' with { type: 'json' }

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Metrics of this instance; not the global registry, as several instances may run in one process.
     * Each plugin and route registers its own collectors here. Every collector reads memory only.
     */
    registry: client.Registry
  }
}

/** Value of the label `path` if no route matched, so that clients cannot create time series. */
const UNMATCHED = 'unmatched'

/** Buckets of latencies, in seconds; finest around the latency of a post on a local disk. */
export const LATENCY_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

/** Statuses of every route that no schema declares; 499 means that the client disconnected. */
const COMMON_STATUSES = ['400', '408', '431', '499']

/** Status of a path that is too long; counted as unmatched, as Fastify responds before routing. */
const URI_TOO_LONG = '414'

/** Metrics of Node's collectors whose names `promtool check metrics` rejects. */
const MISNAMED = [
  'nodejs_eventloop_utilization_histogram',
  'nodejs_eventloop_utilization_summary',
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
]

/** Starts the series of every route and status at 0, so that `rate()` includes the first request. */
function initializeSeries(
  app: FastifyInstance,
  requests: client.Counter<'method' | 'path' | 'status'>,
): void {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route) => {
    if (route.schema?.response) routes.push(route)
  })
  // Not in the hook above: the onRoute hooks of other plugins run later and add responses.
  app.addHook('onReady', async () => {
    for (const { method, url, schema } of routes) {
      const statuses = [...Object.keys(Object.assign({}, schema?.response)), ...COMMON_STATUSES]
      for (const name of [method].flat()) {
        if (name === 'HEAD') continue
        for (const status of statuses) {
          if (status !== URI_TOO_LONG) requests.inc({ method: name, path: url, status }, 0)
        }
      }
    }
  })
}

/** Counts and times every completed request, aborted and malformed ones included. */
function measureRequests(app: FastifyInstance): void {
  const registers = [app.registry]
  const labelNames = ['method', 'path', 'status'] as const
  const durations = new client.Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the headers of a request to the last byte of its response, by method, path and status.',
    labelNames,
    buckets: LATENCY_BUCKETS,
    registers,
  })
  const requests = new client.Counter({
    name: 'http_requests_total',
    help: 'Total HTTP requests by method, path (the template of the route) and status.',
    labelNames,
    registers,
  })
  initializeSeries(app, requests)

  // Looks up each pair of series by its labels only once. Their number is bounded by the methods, routes and statuses.
  const seriesOf = (...labels: [method: string, path: string, status: string]) => ({
    requests: requests.labels(...labels),
    durations: durations.labels(...labels),
  })
  const known = new Map<string, ReturnType<typeof seriesOf>>()
  app.requestTracker.onCompleted(({ method, route = UNMATCHED, status, latencyMs }) => {
    const key = `${method} ${status} ${route}`
    let series = known.get(key)
    if (!series) {
      series = seriesOf(method, route, String(status))
      known.set(key, series)
    }
    series.requests.inc()
    series.durations.observe(latencyMs / 1000)
  })
}

/**
 * Creates the registry with the metrics of the process, the build, the limits and all requests.
 * @param options.limits configured limits, by the name of the setting.
 */
async function metrics(
  app: FastifyInstance,
  { limits }: { limits: Record<string, number> },
): Promise<void> {
  const registry = new client.Registry()
  app.decorate('registry', registry)
  await app.register(fastifyMetrics.default, {
    promClient: client,
    endpoint: null,
    defaultMetrics: { enabled: true, register: registry },
    // They omit aborted and malformed requests, and take 2.5 to 4 % of the processor time of a post.
    routeMetrics: { enabled: false },
  })
  for (const name of MISNAMED) registry.removeSingleMetric(name)

  new client.Gauge({
    name: 'build_info',
    help: 'Always 1; the versions of the service and of Node.',
    labelNames: ['version', 'node'],
    registers: [registry],
  }).set({ version: packageJson.version, node: process.versions.node }, 1)
  const limit = new client.Gauge({
    name: 'configured_limit',
    help: 'Configured limits, by the name of the setting; 0 for none.',
    labelNames: ['setting'],
    registers: [registry],
  })
  for (const [setting, value] of Object.entries(limits)) limit.set({ setting }, value)
  measureRequests(app)
}

export default fp(metrics, { name: 'metrics', dependencies: ['request-tracker'] })
