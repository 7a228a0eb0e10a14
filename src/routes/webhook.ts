import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import client from '@prometheus-io/client'
import type {
  FastifyInstance,
  FastifyRequest,
  onRequestHookHandler,
  onSendHookHandler,
  preValidationHookHandler,
} from 'fastify'
import { InvalidInputError, serviceUnavailable } from '../plugins/errors.ts'
import { jsonResponse, ref } from '../schemas/component.ts'
import { readJson } from '../schemas/json.ts'
import { inputProblems, problem, tooManyRequests } from '../schemas/problem.ts'
import { Accepted, InboundMessage, SignatureHeaders, toStoredMessage } from '../schemas/webhook.ts'
import { timestampInSeconds } from '../timestamp.ts'

/** Results of posts; `aborted` if the body did not arrive completely. */
const RESULTS = [
  'created',
  'duplicate',
  'invalid_signature',
  'validation_error',
  'aborted',
  'error',
] as const

type WebhookResult = (typeof RESULTS)[number]

declare module '../plugins/request-tracker.ts' {
  interface LogFields {
    message_id?: string
    /** Whether the message was stored before. */
    dup?: boolean
    /** Set for a duplicate whose content differs from the stored message, which stays unchanged. */
    conflict?: true
    result?: WebhookResult
  }
}

/** Buckets of delivery delays, in seconds. */
const DELAY_BUCKETS = [0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400]

/** Maximum recorded delay, in seconds, so that one implausible `ts` does not dominate the sum. */
const MAX_DELAY_S = 7 * 86_400

/** Maximum body in bytes; above the longest message with every character escaped as `\u…`. */
const BODY_LIMIT = 64 * 1024

/** Media types of JSON. */
const JSON_TYPE = /^application\/json$|\+json$/

/** A `Content-Encoding` without effect. RFC 9110, section 8.4, discourages `identity`; clients send it. */
const IDENTITY = /^\s*(?:identity)?\s*$/i

const UNSUPPORTED_CODING = 'unsupported content coding, send the body without Content-Encoding'

/** Returns the error of a body that is not a JSON object. */
function invalidBody(reason: string): InvalidInputError {
  return new InvalidInputError(['body'], reason, 'json_invalid')
}

/**
 * Clears a Content-Type that Fastify cannot parse.
 *
 * Otherwise Fastify would respond with 415 before the signature is verified. The property remains, so that
 * `hasJsonType` still rejects the request.
 */
const deferTypeCheck: onRequestHookHandler = (request, _reply, done) => {
  const { headers, mediaType } = request
  if (mediaType === undefined && 'content-type' in headers) headers['content-type'] = undefined
  done()
}

/** Whether the media type is JSON or absent. */
function hasJsonType({ headers, mediaType }: FastifyRequest): boolean {
  return mediaType === undefined ? !('content-type' in headers) : JSON_TYPE.test(mediaType)
}

/** Returns the parsed body. @throws InvalidInputError */
function parseBody(bytes: Uint8Array): unknown {
  if (bytes.length === 0) throw invalidBody('Body is empty, expected a JSON object')
  const read = readJson(bytes)
  if ('wrong' in read) throw invalidBody(`Body ${read.wrong}`)
  return read.value
}

/** Returns the result of a post that was rejected with this status. */
function resultOf(status: number): WebhookResult {
  return status === 429 || status >= 500 ? 'error' : 'validation_error'
}

/** Sets the result of a post that has none yet, before its response is sent. */
const setResult: onSendHookHandler = (request, reply, _payload, done) => {
  const { logFields, raw } = request
  const isDecided = logFields.result !== undefined && logFields.result !== 'aborted'
  if (!isDecided && !raw.errored) logFields.result = resultOf(reply.statusCode)
  done()
}

/**
 * Registers the metrics of posts, and counts results and conflicts.
 * @returns a function that records the delivery delay of a new message, given its `ts`.
 */
function registerMetrics({ registry, requestTracker }: FastifyInstance): (ts: string) => void {
  const registers = [registry]
  const requests = new client.Counter({
    name: 'webhook_requests_total',
    help: 'Total webhook requests by result.',
    labelNames: ['result'],
    registers,
  })
  const conflicts = new client.Counter({
    name: 'webhook_conflicting_duplicates_total',
    help: 'Duplicates whose content differs from the stored message, which stays unchanged.',
    registers,
  })
  const delays = new client.Histogram({
    name: 'webhook_delivery_delay_seconds',
    help: 'Time from the ts of a new message until it is stored, 0 if ts is in the future, at most 7 days.',
    buckets: DELAY_BUCKETS,
    registers,
  })
  const counters = new Map(RESULTS.map((result) => [result, requests.labels(result)]))
  for (const counter of counters.values()) counter.inc(0)
  requestTracker.onCompleted(({ logFields: { result, conflict } }) => {
    if (result) counters.get(result)?.inc()
    if (conflict) conflicts.inc()
  })
  return (ts) => {
    const delay = (Date.now() - Date.parse(ts)) / 1000
    delays.observe(Math.min(Math.max(delay, 0), MAX_DELAY_S))
  }
}

/** Schema of `POST /webhook`. */
const SCHEMA = {
  tags: ['webhook'],
  operationId: 'postMessage',
  summary: 'Post a signed message',
  description:
    'The signature is the HMAC-SHA256 of the raw body with the shared secret, in hex, with or without `sha256=`. If there is no response, or it is 408, 429 or 5xx, retry with the same bytes, with backoff and not before `Retry-After`. A message whose `message_id` is stored already is a duplicate: the response is 200, and nothing is stored. Do not retry 400, 413, 415 or 422: correct the request. 401 means that the secret is wrong.',
  consumes: ['application/json', 'application/*+json'],
  headers: SignatureHeaders,
  body: ref(InboundMessage),
  response: {
    200: jsonResponse(Accepted),
    401: problem('The signature is missing, malformed or invalid.', 'invalid signature'),
    413: problem('The body is larger than 64 KiB.', 'the body is too large'),
    415: problem(
      'The body is not JSON, or is compressed (then with `Accept-Encoding`).',
      'unsupported media type, expected application/json',
    ),
    422: inputProblems({
      loc: ['body', 'from'],
      msg: "Phone number must start with '+'",
      type: 'value_error',
    }),
    429: tooManyRequests,
    500: problem('Not stored: an internal error.', 'internal server error'),
    503: problem('Not stored: retry after `Retry-After` seconds.', 'the database is not available'),
  },
}

/** Receives messages. The order of the checks is the order of the hooks. */
const webhook: FastifyPluginAsyncTypebox = async (app) => {
  const recordDelay = registerMetrics(app)

  // Keeps the raw bytes for any media type: the signature covers them, and is verified before the type.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  const requireSecret: onRequestHookHandler = (request, reply, done) => {
    // If the connection closes before the body has arrived, no further hook runs, and this stays the result.
    request.logFields.result = 'aborted'
    if (app.verifySignature) done()
    else serviceUnavailable(request, reply, 'no_secret', 'WEBHOOK_SECRET is not set')
  }

  // Hooks of this route take callbacks, as a promise per hook would slow down every message.
  const verifyAndParse: preValidationHookHandler = (request, reply, done) => {
    const bytes = request.body instanceof Uint8Array ? request.body : new Uint8Array()
    if (!app.verifySignature?.(bytes, request.headers['x-signature'])) {
      request.logFields.result = 'invalid_signature'
      request.outcomeLevel = 'error'
      done(app.failedAttempt(request, reply, 'invalid signature'))
    } else if (!IDENTITY.test(request.headers['content-encoding'] ?? '')) {
      // Distinguishes this 415 from one for the media type (RFC 9110, section 12.5.3).
      reply.header('accept-encoding', 'identity')
      done(app.httpErrors.unsupportedMediaType(UNSUPPORTED_CODING))
    } else if (!hasJsonType(request)) {
      const expected = 'unsupported media type, expected application/json'
      done(app.httpErrors.unsupportedMediaType(expected))
    } else {
      request.body = parseBody(bytes)
      done()
    }
  }

  app.post(
    '/webhook',
    {
      bodyLimit: BODY_LIMIT,
      config: { concurrencyClass: 'ingest', skipSecurityHeaders: true },
      schema: SCHEMA,
      onRequest: [requireSecret, deferTypeCheck],
      preValidation: verifyAndParse,
      onSend: setResult,
    },
    async (request) => {
      const message = toStoredMessage(request.body, timestampInSeconds())
      request.logFields.message_id = message.message_id
      const appended = app.batcher.append(message)
      const outcome = await app.requestTracker.keepOpenUntil(request, appended)
      app.admission.leave(app.requestTracker.find(request))
      request.logFields.dup = outcome !== 'created'
      if (outcome === 'created') recordDelay(message.ts)
      if (outcome === 'conflict') request.logFields.conflict = true
      request.logFields.result = outcome === 'conflict' ? 'duplicate' : outcome
      return { status: 'ok' as const }
    },
  )
}

export default webhook
