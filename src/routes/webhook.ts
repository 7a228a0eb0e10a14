import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type {
  FastifyInstance,
  FastifyRequest,
  onRequestHookHandler,
  onSendHookHandler,
  preParsingHookHandler,
  preValidationHookHandler,
} from 'fastify'
import { InvalidInputError, serviceUnavailable } from '../plugins/errors.ts'
import { joinChunks } from '../sources/join-chunks.ts'
import { headersToKeep, parseBody } from '../sources/read-body.ts'
import type { Receiver } from '../sources/source.ts'
import { unconfigured } from '../sources/webhook.ts'
import { timestampInSeconds } from '../timestamp.ts'
import { type Measure, registerMetrics, type WebhookResult } from './webhook-metrics.ts'

declare module '../plugins/request-tracker.ts' {
  interface LogFields {
    result?: WebhookResult
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The raw body of a post once its signature is verified. */
    verifiedBody: Uint8Array | undefined
  }
}

/** Statuses of posts that are rejected for their content. */
const CONTENT_STATUSES: ReadonlySet<number> = new Set([415, 422])

/**
 * Clears a Content-Type that Fastify cannot parse.
 * Otherwise Fastify would respond with 415 before the signature is verified. The property remains, so that
 * `parseBody` still rejects the request.
 */
const deferTypeCheck: onRequestHookHandler = (request, _reply, done) => {
  const { headers, mediaType } = request
  if (mediaType === undefined && 'content-type' in headers) headers['content-type'] = undefined
  done()
}

/**
 * Bounds the memory of a body of many small chunks.
 * Skipped for bodies with a Content-Length, most of which arrive in one chunk.
 */
const joinSmallChunks: preParsingHookHandler = (request, _reply, payload, done) => {
  done(null, 'transfer-encoding' in request.headers ? joinChunks(request.raw) : payload)
}

/** Returns the result of a post that was rejected with this status. */
function resultOf(status: number): WebhookResult {
  return status === 429 || status >= 500 ? 'error' : 'validation_error'
}

/** Keeps a body that was rejected although its signature is valid. */
function keepRejected(
  { rejectedBodies }: FastifyInstance,
  { source }: Receiver,
  { verifiedBody: body, logFields, raw }: FastifyRequest,
  status: number,
): void {
  if (!body) return
  const headers = headersToKeep(raw.rawHeaders)
  rejectedBodies.keep({ source, status, problems: logFields.problems ?? [], headers, body })
}

/** Returns a hook that completes the result of a post, and keeps its body if its content is rejected. */
function setResult(app: FastifyInstance, receiver: Receiver): onSendHookHandler {
  return (request, reply, _payload, done) => {
    const { logFields, raw } = request
    const isDecided = logFields.result !== undefined && logFields.result !== 'aborted'
    if (!isDecided && !raw.errored) logFields.result = resultOf(reply.statusCode)
    if (CONTENT_STATUSES.has(reply.statusCode)) {
      keepRejected(app, receiver, request, reply.statusCode)
    }
    done()
  }
}

/**
 * Sets the result `aborted`, which later hooks replace.
 * If the connection closes before the body has arrived, no later hook runs.
 */
const setAborted: onRequestHookHandler = (request, _reply, done) => {
  request.logFields.result = 'aborted'
  done()
}

/** Rejects every post while no source is configured. */
const rejectUnconfigured: onRequestHookHandler = (request, reply) => {
  serviceUnavailable(request, reply, 'no_secret', 'WEBHOOK_SECRET is not set')
}

/**
 * Returns a hook that verifies the signature of the raw body, and replaces the body by its JSON.
 * Hooks of these routes take callbacks, as a promise per hook would slow down every message.
 */
function verifyAndParse(app: FastifyInstance, receiver: Receiver): preValidationHookHandler {
  return (request, reply, done) => {
    const bytes = request.body instanceof Uint8Array ? request.body : new Uint8Array()
    const { headers, mediaType } = request
    if (!app.verifySignature(receiver, bytes, headers)) {
      request.logFields.result = 'invalid_signature'
      request.outcomeLevel = 'error'
      done(app.failedAttempt(request, reply, 'invalid signature'))
      return
    }
    request.verifiedBody = bytes
    const parsed = parseBody(receiver, { bytes, headers, mediaType })
    if ('value' in parsed) {
      request.body = parsed.value
      done()
    } else if (parsed.status === 422) {
      const { loc, msg, type } = parsed.problem
      done(new InvalidInputError(loc, msg, type))
    } else {
      // Distinguishes this 415 from one for the media type (RFC 9110, section 12.5.3).
      if (parsed.isCoding) reply.header('accept-encoding', 'identity')
      done(app.httpErrors.unsupportedMediaType(parsed.detail))
    }
  }
}

/** Registers the route of a receiver. The order of the checks is the order of the hooks. */
function receivePosts(app: FastifyInstance, receiver: Receiver, measure: Measure): void {
  const { path, bodyLimit, schema, log } = receiver
  app.post(
    path,
    {
      bodyLimit,
      config: { concurrencyClass: 'ingest', skipSecurityHeaders: true },
      schema,
      onRequest: [
        setAborted,
        ...(receiver === unconfigured ? [rejectUnconfigured] : []),
        deferTypeCheck,
      ],
      preParsing: joinSmallChunks,
      preValidation: verifyAndParse(app, receiver),
      onSend: setResult(app, receiver),
    },
    async (request) => {
      const received = receiver.read(request.body, timestampInSeconds())
      Object.assign(request.logFields, log.received(received))
      app.commitTracer?.link(request, received.messages)
      const appended = app.batcher.append(received.messages)
      const outcomes = await app.requestTracker.keepOpenUntil(request, appended)
      app.admission.leave(app.requestTracker.find(request))
      Object.assign(request.logFields, log.stored(outcomes))
      request.logFields.result = outcomes.includes('created') ? 'created' : 'duplicate'
      measure(received, outcomes)
      return { status: 'ok' as const }
    },
  )
}

/** Registers the `GET` route by which a sender verifies the endpoint, if the source has one. */
function answerChallenges(app: FastifyInstance, { path, challenge }: Receiver): void {
  if (!challenge) return
  const { respond, schema } = challenge
  app.get<{ Querystring: Record<string, unknown> }>(path, { schema }, (request, reply) => {
    const response = respond(request.query)
    if (response === undefined) throw app.failedAttempt(request, reply, 'wrong verify token', 403)
    return reply.type('text/plain').send(response)
  })
}

/** Receives the posts of every source that is configured. */
const webhook: FastifyPluginAsyncTypebox = async (app) => {
  // Keeps the raw bytes for any media type: the signature covers them, and is verified before the type.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  app.decorateRequest('verifiedBody', undefined)
  const receivers = app.receivers.length === 0 ? [unconfigured] : app.receivers
  const measureFor = registerMetrics(app, receivers)
  for (const receiver of receivers) {
    receivePosts(app, receiver, measureFor(receiver))
    answerChallenges(app, receiver)
  }
}

export default webhook
