import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { logPath } from '../log-path.ts'
import { Queue, type QueueMember } from '../queue.ts'

declare module 'fastify' {
  interface FastifyInstance {
    exchanges: Exchanges
  }
  interface FastifyRequest {
    /** What the log and the metrics are to know of this request beyond its line and its status. */
    notes: ExchangeNotes
  }
  interface FastifyContextConfig {
    /** What the route's requests are counted among while they are open; `questions` unless said otherwise. */
    room?: Room
  }
}

/** What open requests are counted among. Probes and the scrape that tells of an overload are never refused for one. */
export const ROOMS = ['messages', 'questions', 'probes'] as const

/** One of these. */
export type Room = (typeof ROOMS)[number]

/** Why a request that was right was not served. */
export type RefusalReason = 'overload' | 'database' | 'time_limit' | 'stopping' | 'no_secret'

/** What handlers note about a request for those who report it. */
export interface ExchangeNotes {
  message_id?: string
  dup?: boolean
  /** The message was known with other content, which stays. */
  altered?: true
  result?: WebhookResult
  /** Where an input was refused and why, without its values. */
  problems?: { loc: string[]; type: string }[]
  /** The address, of IPv6 its /64, that a wrong signature or token came from. */
  client?: string
  /** Why it was not served, though it may have been right. */
  refused?: RefusalReason
  /** What a 5xx came from. */
  cause?: Error
}

/** How a post to the webhook ended. */
export type WebhookResult =
  | 'created'
  | 'duplicate'
  | 'invalid_signature'
  | 'validation_error'
  | 'error'

/** A request and what became of it. */
export interface Exchange {
  requestId: string
  method: string
  /** The path by which it is logged. */
  path: string
  /** The template of the route, undefined where none matched. */
  route: string | undefined
  /** 499 where the client went away before it was answered, as nginx has it. */
  status: number
  /** From the request's headers to the answer's last byte, in milliseconds. */
  latencyMs: number
  notes: ExchangeNotes
}

/** A request that is not answered yet. */
interface UnderWay extends QueueMember<UnderWay> {
  request: FastifyRequest
  reply: FastifyReply
  room: Room
  /** The template of its route, undefined where none matched. */
  route: string | undefined
  /** When its headers had arrived, by `performance.now()`. */
  since: number
  ended: boolean
  /** The status it was given on its socket rather than by its reply. */
  refused: number | undefined
  /** Work that goes on though the client may leave. */
  held: Promise<unknown> | undefined
}

/** On a request, its answer and its socket: properties, since a WeakMap's entries are looked after at every garbage collection. */
const UNDER_WAY = Symbol('under way')

type Carrier<Of> = Of & { [UNDER_WAY]?: UnderWay | undefined }

/** The client went away before it was answered; the number is nginx's. */
export const ABORTED = 499

/** The client took too long. */
const TIMED_OUT = 408

/** Tells its listeners the end of every exchange exactly once, whether it was answered or given up by the client. */
class Exchanges {
  readonly #listeners: ((exchange: Exchange) => void)[] = []
  /** Listeners of every answer, made once for all of them. */
  readonly #onFinish: (this: Carrier<ServerResponse>) => void
  readonly #onClose: (this: Carrier<ServerResponse>) => void
  /** The oldest first. */
  readonly #open: Record<Room, Queue<UnderWay>> = {
    messages: new Queue(),
    questions: new Queue(),
    probes: new Queue(),
  }

  constructor() {
    const ended = (underWay: UnderWay | undefined, status?: number) => {
      if (underWay && !underWay.ended) this.#ended(underWay, status ?? underWay.refused ?? ABORTED)
    }
    this.#onFinish = function () {
      const underWay = this[UNDER_WAY]
      // A request that broke off is answered too, but to nobody.
      ended(underWay, underWay?.request.raw.errored ? undefined : this.statusCode)
    }
    this.#onClose = function () {
      ended(this[UNDER_WAY])
    }
  }

  /** What a request that has begun is counted among. */
  roomOf(request: FastifyRequest): Room {
    return (request as Carrier<FastifyRequest>)[UNDER_WAY]?.room ?? 'questions'
  }

  /** How many were received and not answered yet, or were left by their client to be worked on. */
  open(room: Room): number {
    return this.#open[room].size
  }

  /**
   * Cuts the connection of the oldest that has kept us waiting for so long, with its body or with reading its answer.
   * @returns whether there was one.
   */
  cutSlowest(room: Room, ms: number): boolean {
    const before = performance.now() - ms
    for (const underWay of this.#open[room]) {
      const { request, reply, refused, since } = underWay
      if (since > before) return false
      const waitsForClient = !request.raw.complete || reply.raw.writableEnded
      if (waitsForClient && refused === undefined) {
        underWay.refused = TIMED_OUT
        request.raw.socket.destroy()
        return true
      }
    }
    return false
  }

  /** Calls the listener at the end of every exchange. */
  onEnd(listener: (exchange: Exchange) => void): void {
    this.#listeners.push(listener)
  }

  /** Follows a request from here to its end. */
  begin(request: FastifyRequest, reply: FastifyReply): void {
    const { url, config } = request.routeOptions
    const underWay: UnderWay = {
      request,
      reply,
      room: config?.room ?? 'questions',
      // The one for preflights anywhere is none.
      route: url === '*' ? undefined : url,
      since: performance.now(),
      ended: false,
      refused: undefined,
      held: undefined,
      older: undefined,
      newer: undefined,
    }
    const socket: Carrier<Duplex> = request.raw.socket
    socket[UNDER_WAY] = underWay
    const carrier: Carrier<FastifyRequest> = request
    carrier[UNDER_WAY] = underWay
    const answer: Carrier<ServerResponse> = reply.raw
    answer[UNDER_WAY] = underWay
    request.notes = {}
    this.#open[underWay.room].add(underWay)
    answer.on('finish', this.#onFinish)
    answer.on('close', this.#onClose)
  }

  /** What is under way has ended with this status; it is told now, or once the work that it left behind is done. */
  #ended(underWay: UnderWay, status: number): void {
    underWay.ended = true
    const socket: Carrier<Duplex> = underWay.request.raw.socket
    if (socket[UNDER_WAY] === underWay) socket[UNDER_WAY] = undefined
    const tell = () => this.#tell(underWay, status)
    if (underWay.held && status === ABORTED) underWay.held.then(tell, tell)
    else tell()
  }

  #tell(underWay: UnderWay, status: number): void {
    const { request, room, route, since } = underWay
    this.#open[room].remove(underWay)
    this.#end({
      requestId: request.id,
      method: request.method,
      path: logPath(request.url, route),
      route,
      status,
      latencyMs: performance.now() - since,
      notes: request.notes,
    })
  }

  /** Work that goes on though its client may leave: the exchange is told with what came of it. */
  hold<Result>(request: FastifyRequest, work: Promise<Result>): Promise<Result> {
    const underWay = (request as Carrier<FastifyRequest>)[UNDER_WAY]
    if (underWay) underWay.held = work
    return work
  }

  /** The request on a socket that has arrived as a whole and waits for its answer. */
  unanswered(socket: Duplex): FastifyReply | undefined {
    const underWay = (socket as Carrier<Duplex>)[UNDER_WAY]
    return underWay?.request.raw.complete ? underWay.reply : undefined
  }

  /**
   * Reports what is refused on the socket itself: the request under way there, or one that never became one.
   * @returns the id by which it is reported.
   */
  refuse(socket: Duplex, method: string, status: number): string {
    const underWay = (socket as Carrier<Duplex>)[UNDER_WAY]
    if (underWay) {
      underWay.refused = status
      return underWay.request.id
    }
    const requestId = randomUUID()
    this.#end({ requestId, method, path: '', route: undefined, status, latencyMs: 0, notes: {} })
    return requestId
  }

  #end(exchange: Exchange): void {
    for (const listener of this.#listeners) listener(exchange)
  }
}

async function exchange(app: FastifyInstance): Promise<void> {
  const exchanges = new Exchanges()
  app.decorate('exchanges', exchanges)
  app.decorateRequest('notes')
  app.addHook('onRequest', (request, reply, done) => {
    exchanges.begin(request, reply)
    done()
  })
}

export default fp(exchange, { name: 'exchange' })
