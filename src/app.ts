import sensible from '@fastify/sensible'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import type { Config } from './config.ts'
import { createServer } from './http-server.ts'
import { type LogOutput, standardOutput } from './log-output.ts'
import admission from './plugins/admission.ts'
import batcher from './plugins/batcher.ts'
import cors from './plugins/cors.ts'
import db from './plugins/db.ts'
import docs from './plugins/docs.ts'
import errors, { handleFrameworkError } from './plugins/errors.ts'
import logging, { createLogger, OneLineLogController, requestIdOf } from './plugins/logging.ts'
import methodNotAllowed from './plugins/method-not-allowed.ts'
import metrics from './plugins/metrics.ts'
import rateLimits from './plugins/rate-limits.ts'
import requestTracker from './plugins/request-tracker.ts'
import securityHeaders from './plugins/security-headers.ts'
import shutdown from './plugins/shutdown.ts'
import signature from './plugins/signature.ts'
import sockets, { handleClientError } from './plugins/sockets.ts'
import tokens from './plugins/tokens.ts'
import validation from './plugins/validation.ts'
import health from './routes/health.ts'
import messages from './routes/messages.ts'
import metricsRoute from './routes/metrics.ts'
import stats from './routes/stats.ts'
import webhook from './routes/webhook.ts'

/**
 * Milliseconds for a client to send a whole request, after which senders have given up, and for its headers alone; and
 * the interval at which these timeouts are checked.
 */
const REQUEST_TIMEOUT_MS = 15_000
const HEADERS_TIMEOUT_MS = 10_000
const CHECK_INTERVAL_MS = 1000

/** Milliseconds that a connection without a request stays open; longer than most load balancers keep theirs. */
const KEEP_ALIVE_TIMEOUT_MS = 72_000

/** An id of 512 characters of four bytes, each percent-encoded. */
const MAX_PARAM_LENGTH = 512 * 4 * 3

/**
 * The whole service but for its listener and its signals, ready to be asked.
 * @param logTo where the log goes, standard output unless said otherwise.
 * @throws ConfigError when the database cannot be opened.
 */
export async function buildApp(config: Config, logTo?: LogOutput) {
  let droppedLines = 0
  const output =
    logTo ??
    standardOutput((lines) => {
      droppedLines += lines
    })
  const app = Fastify({
    loggerInstance: createLogger(config.logLevel, output),
    // Nothing is logged by a request itself but its one line, which names it.
    childLoggerFactory: (logger) => logger,
    logController: new OneLineLogController(),
    genReqId: requestIdOf,
    // A database that migrates a large file may take its time.
    pluginTimeout: 0,
    // Requests on open connections are answered while the service closes.
    return503OnClosing: false,
    frameworkErrors: handleFrameworkError,
    clientErrorHandler: handleClientError,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PARAM_LENGTH },
    serverFactory: (handler) =>
      createServer(
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

  try {
    // What every request passes through.
    await app.register(sensible)
    await app.register(requestTracker)
    await app.register(metrics, {
      limits: {
        MAX_BATCH: config.maxBatch,
        MAX_WAITING: config.maxWaiting,
        MAX_FAILURES_PER_MINUTE: config.maxFailuresPerMinute,
        MAX_REQUESTS_PER_MINUTE: config.maxRequestsPerMinute,
        READ_TIMEOUT_MS: config.readTimeoutMs,
      },
    })
    await app.register(logging, { output, droppedLines: () => droppedLines })
    await app.register(securityHeaders)
    await app.register(cors, { origins: config.corsOrigins })
    const { trustProxy, maxFailuresPerMinute, maxRequestsPerMinute } = config
    await app.register(rateLimits, { trustProxy, maxFailuresPerMinute, maxRequestsPerMinute })
    await app.register(shutdown)
    await app.register(errors)
    await app.register(admission, { maxWaiting: config.maxWaiting })
    await app.register(sockets)
    await app.register(methodNotAllowed)
    await app.register(validation)

    // What the routes work with.
    await app.register(tokens, { api: config.apiTokens, metrics: config.metricsTokens })
    await app.register(signature, {
      secret: config.secret,
      previousSecret: config.previousSecret,
    })
    await app.register(db, { database: config.database, readTimeoutMs: config.readTimeoutMs })
    await app.register(batcher, { maxBatch: config.maxBatch })

    // What can be asked for.
    await app.register(docs)
    await app.register(webhook)
    await app.register(messages, { readTimeoutMs: config.readTimeoutMs })
    await app.register(stats, { readTimeoutMs: config.readTimeoutMs })
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

/** The service, ready to be asked. */
export type App = Awaited<ReturnType<typeof buildApp>>
