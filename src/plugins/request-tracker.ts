import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { logPath } from '../log-path.ts'
import type { QueueMember } from '../queue.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Tracks the requests in flight, and reports each when it has completed. */
    requestTracker: RequestTracker
  }
  interface FastifyRequest {
    /** Fields of the request's log line beyond its method, path and status. */
    logFields: LogFields
  }
}

/** Fields that hooks and handlers add to a request's log line; each plugin and route declares its own. */
// biome-ignore lint/suspicious/noEmptyInterface: Declaration merging adds the fields.
export interface LogFields {}

/** A request and its outcome. */
export interface CompletedRequest {
  /** The `X-Request-ID` of the response. */
  requestId: string
  method: string
  /** Template of the route, or the redacted path if none matched; see `logPath`. */
  path: string
  /** Template of the route, undefined where none matched. */
  route: string | undefined
  /** 499 if the client disconnected before the response was complete, as in nginx. */
  status: number
  /** Milliseconds from the end of the request's headers to the last byte of its response. */
  latencyMs: number
  logFields: LogFields
}

/** A request that is not completed yet. */
export interface InFlightRequest extends QueueMember<InFlightRequest> {
  request: FastifyRequest
  reply: FastifyReply
  /** Template of the route, undefined where none matched. */
  route: string | undefined
  /** Time at which the end of its headers arrived, by `performance.now()`. */
  since: number
  /** Successive checks of the admission plugin that found the request waiting for its client. */
  stalledChecks: number
  /** Whether the response was sent or the connection closed; `work` may continue. */
  ended: boolean
  /** Status of a rejection that closes the connection instead of using the reply. */
  rejectedWith: number | undefined
  /** Work that continues if the client disconnects; it delays completion. */
  work: Promise<unknown> | undefined
}

/** Property of a request, its response and its socket. A WeakMap would slow down garbage collection. */
const IN_FLIGHT = Symbol('in-flight request')

type Carrier<Of> = Of & { [IN_FLIGHT]?: InFlightRequest | undefined }

type CompletionListener = (completed: CompletedRequest, inFlight?: InFlightRequest) => void

/** Status of a request whose client disconnected before the response was complete, as in nginx. */
export const CLIENT_CLOSED_REQUEST = 499

/** Calls its listeners exactly once per request, when the response is sent or the connection closes. */
class RequestTracker {
  readonly #listeners: CompletionListener[] = []
  /** Listeners that all responses share, so that no closures are created per request. */
  readonly #onFinish: (this: Carrier<ServerResponse>) => void
  readonly #onClose: (this: Carrier<ServerResponse>) => void

  constructor() {
    const end = (inFlight: InFlightRequest | undefined, status?: number) => {
      if (!inFlight || inFlight.ended) return
      this.#end(inFlight, status ?? inFlight.rejectedWith ?? CLIENT_CLOSED_REQUEST)
    }
    this.#onFinish = function () {
      const inFlight = this[IN_FLIGHT]
      // The client of a request whose body was aborted does not receive the response.
      end(inFlight, inFlight?.request.raw.errored ? undefined : this.statusCode)
    }
    this.#onClose = function () {
      end(this[IN_FLIGHT])
    }
  }

  /** Registers a listener to be called when a request has completed. */
  onCompleted(listener: CompletionListener): void {
    this.#listeners.push(listener)
  }

  /** Starts tracking a request. */
  begin(request: FastifyRequest, reply: FastifyReply): void {
    const { url } = request.routeOptions
    const inFlight: InFlightRequest = {
      request,
      reply,
      // `*` is the route of preflight requests to any path.
      route: url === '*' ? undefined : url,
      since: performance.now(),
      stalledChecks: 0,
      ended: false,
      rejectedWith: undefined,
      work: undefined,
      queue: undefined,
      older: undefined,
      newer: undefined,
      weight: 1,
    }
    const socket: Carrier<Duplex> = request.raw.socket
    socket[IN_FLIGHT] = inFlight
    const carrier: Carrier<FastifyRequest> = request
    carrier[IN_FLIGHT] = inFlight
    const response: Carrier<ServerResponse> = reply.raw
    response[IN_FLIGHT] = inFlight
    request.logFields = {}
    response.on('finish', this.#onFinish)
    response.on('close', this.#onClose)
  }

  /** Returns the state of a request. @throws Error for a request that is not tracked. */
  find(request: FastifyRequest): InFlightRequest {
    const inFlight = (request as Carrier<FastifyRequest>)[IN_FLIGHT]
    if (!inFlight) throw new Error('the request is not tracked')
    return inFlight
  }

  /** Delays completion until the work has settled if the client disconnects. @returns the work. */
  keepOpenUntil<Result>(request: FastifyRequest, work: Promise<Result>): Promise<Result> {
    this.find(request).work = work
    return work
  }

  /**
   * Records a rejection that is written to a socket without a response object.
   * It rejects the in-flight request of the socket, or else input that is not a request.
   * @returns the request id.
   */
  reject(socket: Duplex, method: string, status: number): string {
    const inFlight = (socket as Carrier<Duplex>)[IN_FLIGHT]
    if (inFlight) {
      inFlight.rejectedWith = status
      return inFlight.request.id
    }
    const requestId = randomUUID()
    const completed = { requestId, method, path: '', route: undefined, status, latencyMs: 0 }
    this.#notify({ ...completed, logFields: {} })
    return requestId
  }

  #end(inFlight: InFlightRequest, status: number): void {
    inFlight.ended = true
    const socket: Carrier<Duplex> = inFlight.request.raw.socket
    if (socket[IN_FLIGHT] === inFlight) socket[IN_FLIGHT] = undefined
    const complete = () => this.#complete(inFlight, status)
    if (inFlight.work && status === CLIENT_CLOSED_REQUEST) inFlight.work.then(complete, complete)
    else complete()
  }

  #complete(inFlight: InFlightRequest, status: number): void {
    const { request, route, since } = inFlight
    const completed = {
      requestId: request.id,
      method: request.method,
      path: logPath(request.url, route),
      route,
      status,
      latencyMs: performance.now() - since,
      logFields: request.logFields,
    }
    this.#notify(completed, inFlight)
  }

  #notify(completed: CompletedRequest, inFlight?: InFlightRequest): void {
    for (const listener of this.#listeners) listener(completed, inFlight)
  }
}

/** Starts to track each request, before any other hook runs. */
async function requestTracker(app: FastifyInstance): Promise<void> {
  const tracker = new RequestTracker()
  app.decorate('requestTracker', tracker)
  app.decorateRequest('logFields')
  app.addHook('onRequest', (request, reply, done) => {
    tracker.begin(request, reply)
    done()
  })
}

export default fp(requestTracker, { name: 'request-tracker' })
