import client from '@prometheus-io/client'
import type { ErrorObject } from 'ajv'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { StoreUnavailableError } from '../db/message-store.ts'
import type { InputProblem } from '../schemas/problem.ts'
import { toInputProblems } from '../schemas/validation-errors.ts'
import { SECURITY_HEADERS } from './security-headers.ts'

/** Why a valid request got a 503. */
type RejectionReason = 'overload' | 'database' | 'time_limit' | 'stopping' | 'no_secret'

/** Reasons whose counters start at 0. */
const COUNTED_REASONS: RejectionReason[] = ['overload', 'database', 'time_limit', 'no_secret']

declare module './request-tracker.ts' {
  interface LogFields {
    /** Where the input is invalid and why, without its values. */
    problems?: Pick<InputProblem, 'loc' | 'type'>[]
    /** Why a request that may be valid got a 503. */
    rejected?: RejectionReason
    /** Cause of a 5xx. */
    cause?: Error
  }
}

/** Seconds after which a sender that got a 503 may try again. */
const RETRY_AFTER_S = 1

/** What Fastify refuses before a handler sees it, in words for whoever sent it. */
const FASTIFY_REFUSALS: Record<string, string> = {
  FST_ERR_BAD_URL: 'the path is not a valid URL path',
  FST_ERR_MAX_PARAM_LENGTH: 'a part of the path is too long',
  FST_ERR_CTP_BODY_TOO_LARGE: 'the body is too large',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'the body is not as long as its Content-Length',
}

/** An input that is refused for what no schema tells. */
export class InvalidInputError extends Error {
  override readonly name = 'InvalidInputError'
  readonly problem: InputProblem
  constructor(loc: string[], msg: string, type: InputProblem['type']) {
    super(msg)
    this.problem = { loc, msg, type }
  }
}

/** Refuses a request that may be right, with 503 and when to try again; the body that may follow is not kept. */
export function serviceUnavailable(
  request: FastifyRequest,
  reply: FastifyReply,
  reason: RejectionReason,
  detail: string,
): void {
  request.logFields.rejected = reason
  reply.code(503).header('retry-after', RETRY_AFTER_S).send({ detail })
}

const LOCATIONS: Record<string, string> = { querystring: 'query', params: 'path' }

function refuseInput(problems: InputProblem[], request: FastifyRequest, reply: FastifyReply): void {
  request.logFields.problems = problems.map(({ loc, type }) => ({ loc, type }))
  reply.code(422).send({ detail: problems })
}

/** Answers an error as `{"detail": …}`; nothing of the inside leaves with a 5xx, its cause goes to the log. */
function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  if (error.validation) {
    const context = error.validationContext ?? 'body'
    const mistakes = error.validation as ErrorObject[]
    refuseInput(toInputProblems(mistakes, LOCATIONS[context] ?? context), request, reply)
    return
  }
  if (error instanceof InvalidInputError) {
    refuseInput([error.problem], request, reply)
    return
  }
  const status = error instanceof StoreUnavailableError ? 503 : (error.statusCode ?? 500)
  if (status < 500) {
    reply.code(status).send({ detail: FASTIFY_REFUSALS[error.code] ?? error.message })
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
    serviceUnavailable(
      request,
      reply,
      'time_limit',
      'the answer took too long; narrow the question down',
    )
  } else {
    reply.code(503).header('retry-after', RETRY_AFTER_S).send({ detail: error.message })
  }
}

/** What Fastify refuses before it has found a route, and so before any hook ran. */
export function handleFrameworkError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  request.server.requestTracker.begin(request, reply)
  reply.header('x-request-id', request.id).headers(SECURITY_HEADERS)
  if (!request.server.rejectOverLimit(request, reply)) answerError(error, request, reply)
}

async function errors(app: FastifyInstance): Promise<void> {
  const rejected = new client.Counter({
    name: 'http_requests_rejected_total',
    help: 'Requests that were not served for now (503), by reason.',
    labelNames: ['reason'],
    registers: [app.registry],
  })
  for (const reason of COUNTED_REASONS) rejected.inc({ reason }, 0)
  app.requestTracker.onCompleted(({ logFields }) => {
    if (logFields.rejected) rejected.inc({ reason: logFields.rejected })
  })

  app.setErrorHandler(answerError)
  app.setNotFoundHandler((_request, reply) => {
    reply.code(404).send({ detail: 'not found' })
  })
  // Before the body is read: what it is does not matter to a path that is not there.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) reply.code(404).send({ detail: 'not found' })
    else if (request.raw.httpVersion === '1.1' && request.headers.host === undefined) {
      done(app.httpErrors.badRequest('a Host header is needed'))
    } else done()
  })
}

export default fp(errors, {
  name: 'errors',
  dependencies: ['request-tracker', 'metrics', '@fastify/sensible'],
})
