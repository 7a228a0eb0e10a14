import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import client from '@prometheus-io/client'
import { type FastifyInstance, LogController } from 'fastify'
import fp from 'fastify-plugin'
import { type DestinationStream, type Logger, pino } from 'pino'
import type { LogLevel } from '../config.ts'
import type { LogOutput } from '../log-output.ts'
import { timestamp } from '../timestamp.ts'
import type { CompletedRequest } from './request-tracker.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Resolves once the lines logged so far are written, which a reader that has stalled may put off for ever. */
    flushLog(): Promise<void>
  }
  interface FastifyRequest {
    /** Level of the request's log line; default: `error` for a 5xx, else `info`. */
    outcomeLevel: 'info' | 'error' | undefined
  }
}

/** pino's names of the levels, and ours. */
const LEVELS: Record<string, string> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'ERROR',
}
const PINO_LEVELS = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error' } as const

/** Returns what is logged of an error. Its other properties may hold values: PostgreSQL's `detail` has whole rows. */
function causeOf(error: Error) {
  const { type, message, stack, code } = pino.stdSerializers.err(error)
  return { type, message, stack, code }
}

/** A logger of JSON lines with `ts` and `level`. */
export function createLogger(level: LogLevel, destination: DestinationStream): Logger {
  return pino(
    {
      level: PINO_LEVELS[level],
      base: null,
      timestamp: () => `,"ts":"${timestamp()}"`,
      formatters: { level: (label) => ({ level: LEVELS[label] ?? label }) },
      serializers: { cause: causeOf },
    },
    destination,
  )
}

/** Keeps Fastify from writing lines of its own: there is one a request, at its end. */
export class OneLineLogController extends LogController {
  constructor() {
    super({ requestIdLogLabel: 'request_id' })
  }

  override isLogDisabled(): boolean {
    return true
  }
}

const SANE_REQUEST_ID = /^[\x20-\x7e]{1,128}$/

/** The sender's `X-Request-ID` where it is 1 to 128 printable ASCII characters, else a new one. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : randomUUID()
}

/** The log line of a request, with the reference's fields in its order. */
function lineOf({ requestId, method, path, status, latencyMs, logFields }: CompletedRequest) {
  return {
    request_id: requestId,
    method,
    path,
    status,
    latency_ms: Math.round(latencyMs * 100) / 100,
    ...logFields,
  }
}

interface LoggingOptions {
  output: LogOutput
  /** Returns the number of lines that the output has dropped. */
  droppedLines: () => number
}

async function logging(
  app: FastifyInstance,
  { output, droppedLines }: LoggingOptions,
): Promise<void> {
  new client.Counter({
    name: 'log_lines_dropped_total',
    help: 'Log lines dropped because their reader had stalled.',
    registers: [app.registry],
    collect() {
      this.reset()
      this.inc(droppedLines())
    },
  })
  app.decorate('flushLog', () => new Promise<void>((done) => output.flush(done)))
  app.decorateRequest('outcomeLevel')
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    done()
  })
  const info = app.log.level === 'info' || app.log.level === 'debug'
  app.requestTracker.onCompleted((completed, inFlight) => {
    const level = inFlight?.request.outcomeLevel ?? (completed.status >= 500 ? 'error' : 'info')
    if (level === 'error') app.log.error(lineOf(completed))
    // As the logger writes it, which walks through the fields one by one and takes four times as long.
    else if (info) {
      const fields = JSON.stringify(lineOf(completed)).slice(1)
      output.write(`{"level":"INFO","ts":"${timestamp()}",${fields}\n`)
    }
  })
}

export default fp(logging, { name: 'logging', dependencies: ['request-tracker', 'metrics'] })
