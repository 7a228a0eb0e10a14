import {
  type Attributes,
  ProxyTracer,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from '@opentelemetry/api'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import packageJson from '../../package.json' with { type: 'json' }
import type { DatabaseAddress } from '../config.ts'
import { logPath } from '../log-path.ts'
import { CommitTracer } from './commit-tracer.ts'
import {
  CLIENT_CLOSED_REQUEST,
  type CompletedRequest,
  type InFlightRequest,
} from './request-tracker.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Creates the spans of commits; undefined without an OpenTelemetry SDK. */
    commitTracer: CommitTracer | undefined
  }
  interface FastifyRequest {
    /** Server span; undefined if the request is not traced. */
    span: Span | undefined
  }
}

declare module './request-tracker.ts' {
  interface LogFields {
    /** Id of the request's trace. */
    trace_id?: string
  }
}

/**
 * Methods that are recorded as they are; others are recorded as `_OTHER`.
 * Source: OpenTelemetry semantic conventions, `http.request.method`.
 */
const KNOWN_METHODS: ReadonlySet<string> = new Set([
  'CONNECT',
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'QUERY',
  'TRACE',
])

/** Milliseconds for exporting the last spans, so that a slow collector does not delay the shutdown. */
const FLUSH_TIMEOUT_MS = 2000

/** Whether requests to this route are traced: all but health checks and scrapes of the metrics. */
function isTraced({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.config?.concurrencyClass !== 'probe'
}

/**
 * Starts the server span of a request, as a child of the span in its headers.
 * The path is redacted as in the log line, and there is no query. `client.address` and `user_agent.original` are left
 * out: they are personal data that the log line does not have either.
 */
function startServerSpan(tracer: Tracer, { request, route, since }: InFlightRequest): Span {
  const { method, raw, hostname, port } = request
  const isKnown = KNOWN_METHODS.has(method)
  const name = isKnown ? method : 'HTTP'
  const attributes: Attributes = {
    'http.request.method': isKnown ? method : '_OTHER',
    'url.path': logPath(request.url, route),
    // TLS ends at a proxy, if at all.
    'url.scheme': 'http',
    'network.protocol.version': raw.httpVersion,
  }
  if (!isKnown) attributes['http.request.method_original'] = method
  if (route !== undefined) attributes['http.route'] = route
  if (hostname !== '') attributes['server.address'] = hostname
  if (port !== null) attributes['server.port'] = port
  const span = tracer.startSpan(
    route === undefined ? name : `${name} ${route}`,
    { kind: SpanKind.SERVER, attributes, startTime: since },
    propagation.extract(ROOT_CONTEXT, raw.headers),
  )
  const context = span.spanContext()
  if (trace.isSpanContextValid(context)) request.logFields.trace_id = context.traceId
  return span
}

/** Records the outcome of a request, and ends its span. */
function endServerSpan(span: Span, { status, latencyMs }: CompletedRequest, since: number): void {
  // The client did not receive a status.
  if (status !== CLIENT_CLOSED_REQUEST) span.setAttribute('http.response.status_code', status)
  if (status >= 500 || status === CLIENT_CLOSED_REQUEST) {
    span.setAttribute('error.type', String(status))
  }
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
  span.end(since + latencyMs)
}

/** A provider with the methods that those of SDKs have, and the API's type lacks. */
interface SdkProvider extends TracerProvider {
  /** Returns the registered provider, if this one is the API's proxy. */
  getDelegate?(): SdkProvider
  forceFlush?(): Promise<void>
}

/** Exports the spans that the SDK still holds. @returns whether this succeeded in time. */
function flush(): Promise<boolean> {
  const proxy: SdkProvider = trace.getTracerProvider()
  const provider = proxy.getDelegate?.() ?? proxy
  const flushed = Promise.resolve(provider.forceFlush?.()).then(
    () => true,
    () => false,
  )
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, FLUSH_TIMEOUT_MS, false)
  })
  return Promise.race([flushed, late]).finally(() => clearTimeout(timer))
}

/**
 * Traces requests and commits if an OpenTelemetry SDK has registered a tracer provider.
 * Otherwise it adds no hooks and no decorators. A provider that is registered later is not used.
 */
async function tracing(
  app: FastifyInstance,
  { database }: { database: DatabaseAddress },
): Promise<void> {
  const tracer = trace.getTracer(packageJson.name, packageJson.version)
  // The API returns its proxy as long as no provider is registered.
  if (tracer instanceof ProxyTracer) return
  app.addHook('onListen', async () => {
    app.log.info('tracing requests and commits with the OpenTelemetry SDK that is loaded')
  })
  app.decorate('commitTracer', new CommitTracer(tracer, database))
  app.decorateRequest('span')
  app.addHook('onRequest', (request, _reply, done) => {
    if (isTraced(request)) request.span = startServerSpan(tracer, app.requestTracker.find(request))
    done()
  })
  app.requestTracker.onCompleted((completed, inFlight) => {
    if (!inFlight) return
    const { request, since } = inFlight
    // Fastify runs no hooks for a request that it rejects before routing.
    if (isTraced(request)) request.span ??= startServerSpan(tracer, inFlight)
    if (request.span) endServerSpan(request.span, completed, since)
  })
  // onClose hooks run in reverse order of registration, so this one runs after the last commit.
  app.addHook('onClose', async () => {
    if (!(await flush())) app.log.warn('the last spans could not be exported')
  })
}

export default fp(tracing, { name: 'tracing', dependencies: ['request-tracker'] })
