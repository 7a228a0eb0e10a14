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
  }
}

/**
 * Classes of in-flight requests, each with a limit of its own:
 * - `unverified`: posts to the webhook until their signature is verified
 * - `ingest`: posts whose message is being stored
 * - `read`: reads of messages that passed the token check
 * - `public`: everything that needs neither a signature nor a token, such as the documentation
 * - `probe`: health checks and the metrics, never limited
 */
const CONCURRENCY_CLASSES = ['unverified', 'ingest', 'read', 'public', 'probe'] as const

type ConcurrencyClass = (typeof CONCURRENCY_CLASSES)[number]

/**
 * Ratio of the limit on posts to the limit on reads.
 *
 * A page is larger than a message, and few threads read, while one batch stores hundreds of messages.
 */
const POSTS_PER_READ = 10

/** Status of an evicted request, in the log and the metrics. */
const REQUEST_TIMEOUT = 408

/** Minimum age in milliseconds at which a request that waits for its client may be evicted. */
const STALL_TIMEOUT_MS = 250

/** Whether a request waits for its client to send the rest of the body or to read the response. */
function waitsForClient({ request, reply }: InFlightRequest): boolean {
  const { raw } = reply
  return !request.raw.complete || raw.writableEnded || raw.writableNeedDrain
}

/** Bounds the requests in flight by concurrency class. */
class Admission {
  readonly #limits: Record<ConcurrencyClass, number>
  /** Requests by class, oldest first. */
  readonly #inFlight: Record<ConcurrencyClass, Queue<InFlightRequest>> = {
    unverified: new Queue(),
    ingest: new Queue(),
    read: new Queue(),
    public: new Queue(),
    probe: new Queue(),
  }

  constructor(maxWaiting: number) {
    const reads = Math.ceil(maxWaiting / POSTS_PER_READ)
    this.#limits = {
      unverified: maxWaiting,
      ingest: maxWaiting,
      read: reads,
      public: reads,
      probe: Number.POSITIVE_INFINITY,
    }
  }

  /** Returns the number of requests of a class that are in flight. */
  count(name: ConcurrencyClass): number {
    return this.#inFlight[name].size
  }

  /** Whether a class is at its limit. */
  isFull(name: ConcurrencyClass): boolean {
    return this.count(name) >= this.#limits[name]
  }

  /**
   * Moves a request into a class.
   *
   * If the class is full, the oldest request that waits for its client is evicted.
   * @returns false if the class stays full.
   */
  enter(inFlight: InFlightRequest, name: ConcurrencyClass): boolean {
    if (this.isFull(name) && !this.#evictSlowest(name)) return false
    this.#inFlight[name].add(inFlight)
    return true
  }

  /** Removes a request from its class, on completion or before. */
  leave(inFlight: InFlightRequest): void {
    inFlight.queue?.remove(inFlight)
  }

  /**
   * Closes the connection of the oldest request that waits for its client.
   * @returns false if there is none.
   */
  #evictSlowest(name: ConcurrencyClass): boolean {
    const before = performance.now() - STALL_TIMEOUT_MS
    for (const inFlight of this.#inFlight[name]) {
      if (inFlight.since > before) return false
      if (!waitsForClient(inFlight)) continue
      this.leave(inFlight)
      inFlight.rejectedWith = REQUEST_TIMEOUT
      inFlight.request.raw.socket.destroy()
      return true
    }
    return false
  }
}

/** Responds with 503 to a request whose class is full. */
function rejectOverload(request: FastifyRequest, reply: FastifyReply): void {
  serviceUnavailable(request, reply, 'overload', 'too many requests in flight; retry later')
}

/**
 * Limits the requests in flight by concurrency class.
 *
 * While `ingest` is at its limit, posts are rejected when their headers arrive, before their body is received. Reads
 * are admitted after the token check.
 */
async function admission(
  app: FastifyInstance,
  { maxWaiting }: { maxWaiting: number },
): Promise<void> {
  const admission = new Admission(maxWaiting)
  app.decorate('admission', admission)
  new client.Gauge({
    name: 'http_requests_in_flight',
    help: 'Requests in flight by concurrency class: unverified (posts), ingest, read, public or probe.',
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
  app.addHook('onRoute', (route) => {
    const { concurrencyClass } = route.config ?? {}
    if (concurrencyClass === 'read') {
      route.preValidation = [admitTo('read'), ...[route.preValidation ?? []].flat()]
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
