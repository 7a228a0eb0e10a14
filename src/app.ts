import accepts from '@fastify/accepts'
import sensible from '@fastify/sensible'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import type { Config } from './config.ts'
import { ConnectionServer } from './http-server.ts'
import { type LogOutput, standardOutput } from './log-output.ts'
import admission from './plugins/admission.ts'
import batcher from './plugins/batcher.ts'
import cors from './plugins/cors.ts'
import db from './plugins/db.ts'
import docs from './plugins/docs.ts'
import errors, { handleFrameworkError } from './plugins/errors.ts'
import feed from './plugins/feed.ts'
import logging, { createLogger, OneLineLogController, requestIdOf } from './plugins/logging.ts'
import methodNotAllowed from './plugins/method-not-allowed.ts'
import metrics from './plugins/metrics.ts'
import rateLimits from './plugins/rate-limits.ts'
import rejectedBodies from './plugins/rejected-bodies.ts'
import requestTracker from './plugins/request-tracker.ts'
import retention from './plugins/retention.ts'
import securityHeaders from './plugins/security-headers.ts'
import shutdown from './plugins/shutdown.ts'
import signature from './plugins/signature.ts'
import sockets, { handleClientError } from './plugins/sockets.ts'
import tokens from './plugins/tokens.ts'
import tracing from './plugins/tracing.ts'
import validation from './plugins/validation.ts'
import dashboard from './routes/dashboard.ts'
import exportRoute from './routes/export.ts'
import feedRoute from './routes/feed.ts'
import health from './routes/health.ts'
import messages from './routes/messages.ts'
import metricsRoute from './routes/metrics.ts'
import rejected from './routes/rejected.ts'
import senders from './routes/senders.ts'
import stats from './routes/stats.ts'
import status from './routes/status.ts'
import webhook from './routes/webhook.ts'

/** Milliseconds for a client to send a whole request; longer than senders wait for a response. */
const REQUEST_TIMEOUT_MS = 15_000

/** Milliseconds for a client to send the headers of a request. */
const HEADERS_TIMEOUT_MS = 10_000

/** Milliseconds between checks of both timeouts. */
const CHECK_INTERVAL_MS = 1000

/** Milliseconds that idle connections stay open; above the idle timeout of most load balancers. */
const KEEP_ALIVE_TIMEOUT_MS = 72_000

/** Maximum length of an id in a path: 512 characters of four bytes, each byte percent-encoded. */
const MAX_PARAM_LENGTH = 512 * 4 * 3

/** Returns a Fastify instance with the options of the service, and no plugins or routes. */
function createInstance({ logLevel }: Config, output: LogOutput) {
  return Fastify({
    loggerInstance: createLogger(logLevel, output),
    // No child logger per request: its only log line is written on completion and includes the id.
    childLoggerFactory: (logger) => logger,
    logController: new OneLineLogController(),
    genReqId: requestIdOf,
    // Migrating a large file while the database is opened may take minutes.
    pluginTimeout: 0,
    // While the service closes, requests on open connections are still served.
    return503OnClosing: false,
    frameworkErrors: handleFrameworkError,
    clientErrorHandler: handleClientError,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PARAM_LENGTH },
    serverFactory: (handler) =>
      new ConnectionServer(
        {
          requestTimeout: REQUEST_TIMEOUT_MS,
          headersTimeout: HEADERS_TIMEOUT_MS,
          keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
          connectionsCheckingInterval: CHECK_INTERVAL_MS,
          requireHostHeader: false,
        },
        handler,
      ),
  }).withTypeProvider<TypeBoxTypeProvider>()
}

/** Returns the settings that are limits, for the metrics, by their names. */
function limitsOf(config: Config): Record<string, number> {
  return {
    MAX_BATCH: config.maxBatch,
    MAX_WAITING: config.maxWaiting,
    MAX_STREAMS: config.maxStreams,
    MAX_REJECTED: config.maxRejected,
    MAX_FAILURES_PER_MINUTE: config.maxFailuresPerMinute,
    MAX_REQUESTS_PER_MINUTE: config.maxRequestsPerMinute,
    READ_TIMEOUT_MS: config.readTimeoutMs,
  }
}

/**
 * Builds the service and opens its database. The caller adds the listener and the signal handlers.
 * @param logTo output of the log; default: standard output.
 * @throws ConfigError if the database cannot be opened.
 */
export async function buildApp(config: Config, logTo?: LogOutput) {
  let droppedLines = 0
  const output =
    logTo ??
    standardOutput((lines) => {
      droppedLines += lines
    })
  const app = createInstance(config, output)
  const { trustProxy, maxFailuresPerMinute, maxRequestsPerMinute, readTimeoutMs } = config
  const { database, backupBeforeMigration } = config
  try {
    // Every request passes through these. The order of registration is the order of their hooks.
    await app.register(sensible)
    await app.register(accepts)
    await app.register(requestTracker)
    await app.register(tracing, { database: config.database })
    await app.register(metrics, { limits: limitsOf(config) })
    await app.register(logging, { output, droppedLines: () => droppedLines })
    await app.register(securityHeaders)
    await app.register(cors, { origins: config.corsOrigins })
    await app.register(rateLimits, { trustProxy, maxFailuresPerMinute, maxRequestsPerMinute })
    await app.register(shutdown)
    await app.register(errors)
    await app.register(admission, { maxWaiting: config.maxWaiting, maxStreams: config.maxStreams })
    await app.register(sockets)
    await app.register(methodNotAllowed)
    await app.register(validation)

    // Dependencies of the routes.
    await app.register(tokens, { api: config.apiTokens, metrics: config.metricsTokens })
    await app.register(signature, { sources: config.sources })
    await app.register(db, { database, backupBeforeMigration, readTimeoutMs })
    await app.register(batcher, { maxBatch: config.maxBatch })
    await app.register(feed, { readTimeoutMs })
    await app.register(rejectedBodies, { maxRejected: config.maxRejected })
    await app.register(retention, { retentionDays: config.retentionDays })

    // Routes.
    await app.register(docs)
    await app.register(webhook)
    await app.register(exportRoute, { readTimeoutMs })
    await app.register(messages, { readTimeoutMs })
    await app.register(feedRoute)
    await app.register(stats, { readTimeoutMs })
    await app.register(senders, { readTimeoutMs })
    await app.register(rejected, { readTimeoutMs })
    await app.register(status)
    if (config.dashboard) await app.register(dashboard)
    await app.register(health)
    await app.register(metricsRoute)
    app.rejectOtherMethods()
    await app.ready()
  } catch (error) {
    await app.close()
    throw error
  }
  return app
}

/** The service, before it listens. */
export type App = Awaited<ReturnType<typeof buildApp>>
