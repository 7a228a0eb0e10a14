import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    exchanges: Exchanges
  }
  interface FastifyRequest {
    /** What the log and the metrics are to know of this request beyond its line and its status. */
    notes: ExchangeNotes
  }
}

/** What handlers note about a request for those who report it. */
export interface ExchangeNotes {
  message_id?: string
  dup?: boolean
  result?: WebhookResult
  /** Where an input was refused and why, without its values. */
  problems?: { loc: string[]; type: string }[]
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
  /** The path as it was asked for, without the query. */
  path: string
  /** The template of the route, undefined where none matched. */
  route: string | undefined
  /** 499 where the client went away before it was answered, as nginx has it. */
  status: number
  /** From the request's headers to the answer's last byte, in milliseconds. */
  latencyMs: number
  notes: ExchangeNotes
}

/** The status that a request under way was given on its socket rather than by its reply. */
interface Refusal {
  status: number | undefined
}

/** The client went away before it was answered; the number is nginx's. */
export const ABORTED = 499

/** A path in the log is not longer than this. */
const MAX_PATH = 512

/** The path of a request's target, without the query. */
function pathOf(target: string): string {
  const end = target.search(/[?#]/)
  return (end < 0 ? target : target.slice(0, end)).slice(0, MAX_PATH)
}

/** Tells its listeners the end of every exchange exactly once, whether it was answered or given up by the client. */
class Exchanges {
  readonly #listeners: ((exchange: Exchange) => void)[] = []
  readonly #onSocket = new WeakMap<Duplex, Refusal>()
  #open = 0

  /** Requests that were received and not answered yet. */
  get open(): number {
    return this.#open
  }

  /** Calls the listener at the end of every exchange. */
  onEnd(listener: (exchange: Exchange) => void): void {
    this.#listeners.push(listener)
  }

  /** Follows a request from here to its end. */
  begin(request: FastifyRequest, reply: FastifyReply): void {
    const started = performance.now()
    const { socket } = request.raw
    const refusal: Refusal = { status: undefined }
    this.#onSocket.set(socket, refusal)
    request.notes = {}
    this.#open++
    let ended = false
    const end = (status: number): void => {
      if (ended) return
      ended = true
      this.#open--
      this.#onSocket.delete(socket)
      this.#end({
        requestId: request.id,
        method: request.method,
        path: pathOf(request.url),
        route: request.routeOptions.url,
        status,
        latencyMs: performance.now() - started,
        notes: request.notes,
      })
    }
    // A request that broke off is answered too, but to nobody.
    const lost = () => refusal.status ?? ABORTED
    reply.raw.once('finish', () => end(request.raw.errored ? lost() : reply.raw.statusCode))
    reply.raw.once('close', () => end(lost()))
  }

  /** Reports what was refused on the socket itself: the request under way there, or one that never became one. */
  refuse(socket: Duplex, method: string, status: number): void {
    const underWay = this.#onSocket.get(socket)
    if (underWay) underWay.status = status
    else {
      const requestId = randomUUID()
      this.#end({ requestId, method, path: '', route: undefined, status, latencyMs: 0, notes: {} })
    }
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
