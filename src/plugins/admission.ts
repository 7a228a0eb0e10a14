import client from '@prometheus-io/client'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Queue } from '../queue.ts'
import { serviceUnavailable } from './errors.ts'
import type { InFlightRequest } from './request-tracker.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Limits of the requests in flight. */
    admission: Admission
  }
  interface FastifyContextConfig {
    /** Concurrency class of the route's requests once they have passed its access check; default `public`. */
    concurrencyClass?: 'ingest' | 'read' | 'probe'
    /** Whether a request of class `read` is long-lived, and belongs to the class `stream` instead; default: none. */
    isStream?: (request: FastifyRequest) => boolean
  }
}

/**
 * Classes of in-flight requests, each with a limit of its own:
 * - `unverified`: posts to the webhook until their signature is verified
 * - `ingest`: posts whose messages are being stored
 * - `read`: reads that passed the token check
 * - `stream`: long-lived reads that passed the token check
 * - `public`: everything that needs neither a signature nor a token, such as the documentation
 * - `probe`: health checks and the metrics, never limited
 */
const CONCURRENCY_CLASSES = ['unverified', 'ingest', 'read', 'stream', 'public', 'probe'] as const

type ConcurrencyClass = (typeof CONCURRENCY_CLASSES)[number]

/**
 * Ratio of the limit on posts to the limit on reads.
 * A page is larger than a message, and few threads read, while one batch stores hundreds of messages.
 */
const POSTS_PER_READ = 10

/** Status of an evicted request, in the log and the metrics. */
const REQUEST_TIMEOUT = 408

/** Milliseconds between checks for requests that wait for their client. */
const STALL_CHECK_INTERVAL_MS = 250

/**
 * Successive checks that must find a request waiting for its client before it may be evicted.
 * Between two checks the event loop processes all input that arrived before the first: an event loop that is late does
 * not count against the client.
 */
const STALLED_CHECKS = 2

/** Bytes of a body that count as one post: the limit of the smallest source. */
const BYTES_PER_POST = 64 * 1024

/**
 * Returns the number of posts that a request counts as: one for each 64 KiB of its body.
 * If the length is unknown, the largest body that the route accepts counts. So the limit on posts bounds the memory of
 * their bodies, too.
 */
function weightOf({ headers, routeOptions }: FastifyRequest): number {
  const limit = routeOptions.bodyLimit ?? BYTES_PER_POST
  const length = Number(headers['content-length'] ?? limit)
  return Math.max(1, Math.ceil(Math.min(length, limit) / BYTES_PER_POST))
}

/** Whether a request waits for its client to send the rest of the body or to read the response. */
function waitsForClient({ request, reply }: InFlightRequest): boolean {
  const { raw } = reply
  return !request.raw.complete || raw.writableEnded || raw.writableNeedDrain
}

/** The configured limits. */
interface AdmissionOptions {
  maxWaiting: number
  maxStreams: number
}

/** Bounds the requests in flight by concurrency class. */
class Admission {
  readonly #limits: Record<ConcurrencyClass, number>
  /** Requests by class, oldest first. */
  readonly #inFlight: Record<ConcurrencyClass, Queue<InFlightRequest>> = {
    unverified: new Queue(),
    ingest: new Queue(),
    read: new Queue(),
    stream: new Queue(),
    public: new Queue(),
    probe: new Queue(),
  }
  /** Classes that had stalled requests at the last check; without them, a full class is not searched. */
  readonly #withStalled = new Set<ConcurrencyClass>()

  constructor({ maxWaiting, maxStreams }: AdmissionOptions) {
    const reads = Math.ceil(maxWaiting / POSTS_PER_READ)
    this.#limits = {
      unverified: maxWaiting,
      ingest: maxWaiting,
      read: reads,
      stream: maxStreams,
      public: reads,
      probe: Number.POSITIVE_INFINITY,
    }
  }

  /** Returns the number of requests of a class that are in flight. */
  count(name: ConcurrencyClass): number {
    return this.#inFlight[name].size
  }

  /** Whether a class is at its limit. A request that enters below the limit may exceed it by its weight. */
  isFull(name: ConcurrencyClass): boolean {
    return this.#inFlight[name].weight >= this.#limits[name]
  }

  /**
   * Moves a request into a class.
   * If the class is full, the oldest requests whose client is stalled are evicted until it is below its limit;
   * streams never are.
   * @returns false if the class stays full.
   */
  enter(inFlight: InFlightRequest, name: ConcurrencyClass): boolean {
    // A stream that waits for its client may be about to continue.
    if (this.isFull(name) && name !== 'stream') this.#evictStalled(name)
    if (this.isFull(name)) return false
    this.#inFlight[name].add(inFlight)
    return true
  }

  /** Removes a request from its class, on completion or before. */
  leave(inFlight: InFlightRequest): void {
    inFlight.queue?.remove(inFlight)
  }

  /** Counts for how many successive checks each request has been waiting for its client. */
  checkStalled(): void {
    for (const name of CONCURRENCY_CLASSES)
      for (const inFlight of this.#inFlight[name]) {
        inFlight.stalledChecks = waitsForClient(inFlight) ? inFlight.stalledChecks + 1 : 0
        if (inFlight.stalledChecks >= STALLED_CHECKS) this.#withStalled.add(name)
      }
  }

  /**
   * Closes the connections of the oldest stalled requests until the class is below its limit.
   * A single one may not suffice: a request that enters may weigh many times as much as the one that it replaces.
   */
  #evictStalled(name: ConcurrencyClass): void {
    if (!this.#withStalled.has(name)) return
    for (const inFlight of this.#inFlight[name]) {
      if (!this.isFull(name)) return
      if (inFlight.stalledChecks < STALLED_CHECKS || !waitsForClient(inFlight)) continue
      this.leave(inFlight)
      inFlight.rejectedWith = REQUEST_TIMEOUT
      inFlight.request.raw.socket.destroy()
    }
    this.#withStalled.delete(name)
  }
}

/** Responds with 503 to a request whose class is full. */
function rejectOverload(request: FastifyRequest, reply: FastifyReply): void {
  serviceUnavailable(request, reply, 'overload', 'too many requests in flight; retry later')
}

/**
 * Limits the requests in flight by concurrency class.
 * While `ingest` is at its limit, posts are rejected when their headers arrive, before their body is received. Reads
 * are admitted after the token check.
 */
async function admission(app: FastifyInstance, options: AdmissionOptions): Promise<void> {
  const admission = new Admission(options)
  app.decorate('admission', admission)
  const check = setInterval(() => admission.checkStalled(), STALL_CHECK_INTERVAL_MS).unref()
  app.addHook('onClose', () => clearInterval(check))
  new client.Gauge({
    name: 'http_requests_in_flight',
    help: 'Requests in flight by concurrency class: unverified (posts), ingest, read, stream, public or probe.',
    labelNames: ['class'],
    registers: [app.registry],
    collect() {
      for (const name of CONCURRENCY_CLASSES) this.set({ class: name }, admission.count(name))
    },
  })

  const admitTo =
    (name: ConcurrencyClass) =>
    (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
      if (admission.enter(app.requestTracker.find(request), name)) done()
      else rejectOverload(request, reply)
    }
  const admitToRead = admitTo('read')
  const admitToStream = admitTo('stream')
  app.addHook('onRoute', (route) => {
    const { concurrencyClass, isStream = () => false } = route.config ?? {}
    if (concurrencyClass === 'read') {
      const admit: typeof admitToRead = (request, ...rest) =>
        (isStream(request) ? admitToStream : admitToRead)(request, ...rest)
      route.preValidation = [admit, ...[route.preValidation ?? []].flat()]
    } else if (concurrencyClass === 'ingest') {
      route.preHandler = [...[route.preHandler ?? []].flat(), admitTo('ingest')]
    }
  })

  app.addHook('onRequest', (request, reply, done) => {
    const { concurrencyClass = 'public' } = request.routeOptions.config
    if (concurrencyClass === 'read') {
      done()
      return
    }
    const isPost = concurrencyClass === 'ingest'
    const inFlight = app.requestTracker.find(request)
    if (isPost) inFlight.weight = weightOf(request)
    const isAdmitted =
      !(isPost && admission.isFull('ingest')) &&
      admission.enter(inFlight, isPost ? 'unverified' : concurrencyClass)
    if (isAdmitted) done()
    else rejectOverload(request, reply)
  })

  app.requestTracker.onCompleted((_completed, inFlight) => {
    if (inFlight) admission.leave(inFlight)
  })
}

export default fp(admission, {
  name: 'admission',
  dependencies: ['request-tracker', 'metrics', 'errors'],
})
