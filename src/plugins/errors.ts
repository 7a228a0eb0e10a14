import client from '@prometheus-io/client'
import type { ErrorObject } from 'ajv'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { StoreUnavailableError } from '../db/message-store.ts'
import type { InputProblem } from '../schemas/problem.ts'
import { toInputProblems } from '../schemas/validation-errors.ts'
import { SECURITY_HEADERS } from './security-headers.ts'

/** Reason for a 503. */
type RejectionReason = 'overload' | 'database' | 'time_limit' | 'stopping' | 'no_secret'

/** Reasons whose counters start at 0; all but `stopping`, which is expected. */
const COUNTED_REASONS: RejectionReason[] = ['overload', 'database', 'time_limit', 'no_secret']

declare module './request-tracker.ts' {
  interface LogFields {
    /** Location and kind of each error in the input, without its values. */
    problems?: Pick<InputProblem, 'loc' | 'type'>[]
    /** Reason for a 503. */
    rejected?: RejectionReason
    /** Cause of a 5xx. */
    cause?: Error
  }
}

/** Value of `Retry-After` in a 503, in seconds. */
const RETRY_AFTER_S = 1

/** Details of the responses to errors of Fastify, by the code of the error. */
const FASTIFY_ERRORS: Record<string, string> = {
  FST_ERR_BAD_URL: 'the path is not a valid URL path',
  FST_ERR_MAX_PARAM_LENGTH: 'a part of the path is too long',
  FST_ERR_CTP_BODY_TOO_LARGE: 'the body is too large',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'the length of the body does not match Content-Length',
}

/** Input that fails a check the schema cannot express; the response is 422. */
export class InvalidInputError extends Error {
  override readonly name = 'InvalidInputError'
  readonly problem: InputProblem
  constructor(loc: string[], msg: string, type: InputProblem['type']) {
    super(msg)
    this.problem = { loc, msg, type }
  }
}

/** Responds with 503 and `Retry-After`; the reason is logged and counted. */
export function serviceUnavailable(
  request: FastifyRequest,
  reply: FastifyReply,
  reason: RejectionReason,
  detail: string,
): void {
  request.logFields.rejected = reason
  reply.code(503).header('retry-after', RETRY_AFTER_S).send({ detail })
}

/** First element of `loc` by Fastify's name for the part of the request; `body` is the same in both. */
const LOCATIONS: Record<string, string> = { querystring: 'query', params: 'path' }

/**
 * Maximum length in bytes of a body that is discarded after it was rejected as too large.
 * For a longer one, closing the connection costs less than receiving it.
 */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024

/**
 * Keeps the connection open for the rest of a body that is too large, which Node discards.
 * If it were closed while the client still sends, a reset could reach the client before the response. A body of unknown
 * length may be endless, so its connection is closed.
 */
function keepOpenForBody({ headers }: FastifyRequest, reply: FastifyReply): void {
  const length = Number(headers['content-length'] ?? Number.POSITIVE_INFINITY)
  if (length <= MAX_DISCARDED_BYTES) reply.removeHeader('connection')
}

/** Responds with 422, and logs the problems without the values of the input. */
function rejectInput(problems: InputProblem[], request: FastifyRequest, reply: FastifyReply): void {
  request.logFields.problems = problems.map(({ loc, type }) => ({ loc, type }))
  reply.code(422).send({ detail: problems })
}

/** Responds to an error with `{"detail": …}`; the cause of a 5xx is only logged. */
function handleError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  if (error.validation) {
    const context = error.validationContext ?? 'body'
    const violations = error.validation as ErrorObject[]
    rejectInput(toInputProblems(violations, LOCATIONS[context] ?? context), request, reply)
    return
  }
  if (error instanceof InvalidInputError) {
    rejectInput([error.problem], request, reply)
    return
  }
  const status = error instanceof StoreUnavailableError ? 503 : (error.statusCode ?? 500)
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') keepOpenForBody(request, reply)
  if (status < 500) {
    reply.code(status).send({ detail: FASTIFY_ERRORS[error.code] ?? error.message })
    return
  }
  request.logFields.cause = error
  if (status !== 503) {
    reply.code(500).send({ detail: 'internal server error' })
    return
  }
  if (error instanceof StoreUnavailableError) {
    serviceUnavailable(request, reply, 'database', 'the database is not available')
  } else if (error.code === 'FST_ERR_HANDLER_TIMEOUT') {
    serviceUnavailable(request, reply, 'time_limit', 'query timed out; narrow the filters')
  } else {
    reply.code(503).header('retry-after', RETRY_AFTER_S).send({ detail: error.message })
  }
}

/** Responds to an error that Fastify raises before routing, and so before any hook has run. */
export function handleFrameworkError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  request.server.requestTracker.begin(request, reply)
  reply.header('x-request-id', request.id).headers(SECURITY_HEADERS)
  if (!request.server.rejectOverLimit(request, reply)) handleError(error, request, reply)
}

/** Sets the error handlers: the body of every error response is `{"detail": …}`. */
async function errors(app: FastifyInstance): Promise<void> {
  const rejected = new client.Counter({
    name: 'http_requests_rejected_total',
    help: 'Requests rejected with 503, by reason.',
    labelNames: ['reason'],
    registers: [app.registry],
  })
  for (const reason of COUNTED_REASONS) rejected.inc({ reason }, 0)
  app.requestTracker.onCompleted(({ logFields }) => {
    if (logFields.rejected) rejected.inc({ reason: logFields.rejected })
  })

  app.setErrorHandler(handleError)
  app.setNotFoundHandler((_request, reply) => {
    reply.code(404).send({ detail: 'not found' })
  })
  // In onRequest, so that the body of a request that is rejected anyway is not read.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) reply.code(404).send({ detail: 'not found' })
    else if (request.raw.httpVersion === '1.1' && request.headers.host === undefined) {
      done(app.httpErrors.badRequest('a Host header is required'))
    } else done()
  })
}

export default fp(errors, {
  name: 'errors',
  dependencies: ['request-tracker', 'metrics', '@fastify/sensible'],
})
