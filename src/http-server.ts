import {
  type IncomingMessage,
  type RequestListener,
  Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Maximum pipelined requests that wait on one connection. */
const MAX_PIPELINED = 8

/** Milliseconds after which a connection with unread output is closed. */
const STALL_TIMEOUT_MS = 15_000

/** Milliseconds between checks for unread output. */
const CHECK_INTERVAL_MS = 1000

/** Milliseconds that idle connections stay open while the server closes: a request may be in transit. */
const LINGER_MS = 500

/**
 * Milliseconds from a half-close to the first probe of the client; doubled after each probe.
 * A reset is noticed at the next probe after it, so that this bounds how long a cancelled read occupies its reader.
 */
const PROBE_DELAY_MS = 20

/** Minimum delay of a probe while another method than GET is handled: its client may not know interim responses. */
const WRITE_PROBE_DELAY_MS = 320

/** Milliseconds before the last probe. */
const LAST_PROBE_DELAY_MS = 2560

interface Pipelined {
  request: IncomingMessage
  response: ServerResponse
}

/** A client connection. Pipelined requests are handled one at a time. */
class Connection {
  readonly socket: Socket
  readonly #handle: RequestListener
  readonly #isClosing: () => boolean
  #current: ServerResponse | undefined
  #waiting: Pipelined[] = []
  #afterResponses: (() => void) | undefined
  /** Time, by `performance.now()`, of the last check that found no unread output or some progress. */
  #drainedAt = performance.now()
  /** Bytes that the kernel had accepted at the last check. */
  #accepted = 0

  constructor(socket: Socket, handle: RequestListener, isClosing: () => boolean) {
    this.socket = socket
    this.#handle = handle
    this.#isClosing = isClosing
    socket.once('end', () => this.#probe(PROBE_DELAY_MS))
  }

  /** Whether no request is being handled. */
  get isIdle(): boolean {
    return !this.#current
  }

  /** Handles a request after the earlier ones; closes the connection if too many wait. */
  accept(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#current) this.#start(request, response)
    else if (this.#waiting.length < MAX_PIPELINED) {
      this.#waiting.push({ request, response })
      this.socket.pause()
    } else {
      this.#waiting = []
      this.socket.destroy()
      // Node's parser would continue with the input already read and create request objects, one per 26 bytes or more,
      // and an error with a stack trace for each. `parser` is not documented.
      const { parser }: Carrier = this.socket
      if (parser) parser.onIncoming = ignoreRequest
    }
  }

  /** Implements the exported `afterResponses`. */
  afterResponses(callback: () => void): void {
    if (this.#afterResponses) return
    this.#afterResponses = callback
    this.#notifyIfAnswered()
  }

  /** Closes the connection if its client has not read the output within the time limit. */
  closeStalled(now: number): void {
    const { bytesWritten, writableLength } = this.socket
    const accepted = bytesWritten - writableLength
    if (writableLength === 0 || accepted > this.#accepted) this.#drainedAt = now
    else if (now - this.#drainedAt > STALL_TIMEOUT_MS) this.socket.destroy()
    this.#accepted = accepted
  }

  #start(request: IncomingMessage, response: ServerResponse): void {
    // The request is not handled, because its response could not be sent.
    if (!this.socket.writable) return
    this.#current = response
    response.on('close', onClose)
    this.#handle(request, response)
  }

  /** Handles the next waiting request. */
  next(): void {
    this.#current = undefined
    const next = this.#waiting.shift()
    if (next) this.#start(next.request, next.response)
    else if (this.#isClosing()) this.socket.end()
    else this.socket.resume()
    if (this.#afterResponses) this.#notifyIfAnswered()
  }

  /**
   * Calls the callback of `afterResponses` if every complete request is answered.
   * An incomplete current request is ignored: if the parser has failed, the rest of it never arrives.
   */
  #notifyIfAnswered(): void {
    if (this.#waiting.length > 0 || this.#current?.req.complete) return
    this.#afterResponses?.()
  }

  /**
   * Writes interim responses (102) while a request of a half-closed connection is handled.
   * A client that only half-closed the connection ignores them. A client that closed it replies with a reset, which
   * cancels reads.
   */
  #probe(delayMs: number): void {
    setTimeout(() => {
      const response = this.#current
      if (!response || this.socket.destroyed) return
      const { method, httpVersion } = response.req
      const isDue = method === 'GET' || delayMs >= WRITE_PROBE_DELAY_MS
      if (isDue && !response.headersSent && httpVersion === '1.1') response.writeProcessing()
      if (delayMs < LAST_PROBE_DELAY_MS) this.#probe(2 * delayMs)
    }, delayMs).unref()
  }
}

/** Property of a socket that holds its connection. A WeakMap would slow down garbage collection. */
const CONNECTION = Symbol('connection')

/** A socket with the property above, and Node's internal parser. */
type Carrier = Duplex & { [CONNECTION]?: Connection; parser?: { onIncoming?(): number } }

function connectionOf(socket: Duplex): Connection | undefined {
  return (socket as Carrier)[CONNECTION]
}

/** Replaces the parser's request callback; returns 0, which means that a body follows as usual. */
const ignoreRequest = () => 0

/** Listener of a response's `close` event; a named function avoids one closure per response. */
function onClose(this: ServerResponse): void {
  connectionOf(this.req.socket)?.next()
}

/** Calls back when every request that a socket has received completely is answered. */
export function afterResponses(socket: Duplex, callback: () => void): void {
  const connection = connectionOf(socket)
  if (connection) connection.afterResponses(callback)
  else callback()
}

/**
 * Node's HTTP server with bounded connections.
 * - Pipelined requests are handled one at a time.
 * - Half-closed clients get their responses (RFC 9112, section 9.6).
 * - Clients that do not read are disconnected.
 * - While the server closes, requests that arrive on open connections are answered.
 */
export class ConnectionServer extends Server {
  readonly #connections = new Set<Connection>()
  #closing = false

  constructor(options: ServerOptions, handle: RequestListener) {
    super(options)
    // Not in the types of Node.
    Object.assign(this, { httpAllowHalfOpen: true })
    const isClosing = () => this.#closing
    this.on('connection', (socket: Socket) => {
      const connection = new Connection(socket, handle, isClosing)
      const carrier: Carrier = socket
      carrier[CONNECTION] = connection
      this.#connections.add(connection)
      socket.once('close', () => this.#connections.delete(connection))
    })
    const accept: RequestListener = (request, response) => {
      connectionOf(request.socket)?.accept(request, response)
    }
    this.on('request', accept)
    // Unknown expectations may be ignored (RFC 9110, section 10.1.1).
    this.on('checkExpectation', accept)
    this.on('listening', () => {
      const check = setInterval(() => {
        const now = performance.now()
        for (const connection of this.#connections) connection.closeStalled(now)
      }, CHECK_INTERVAL_MS).unref()
      this.once('close', () => clearInterval(check))
    })
  }

  /** Called by `close()`. Closes idle connections after a delay, as a request may be in transit. */
  override closeIdleConnections(): void {
    if (this.#closing) return
    this.#closing = true
    const end = setTimeout(() => this.#forIdle((socket) => socket.end()), LINGER_MS)
    const destroy = setTimeout(() => this.#forIdle((socket) => socket.destroy()), 2 * LINGER_MS)
    this.once('close', () => {
      clearTimeout(end)
      clearTimeout(destroy)
    })
  }

  #forIdle(close: (socket: Socket) => void): void {
    for (const { isIdle, socket } of this.#connections) if (isIdle) close(socket)
  }
}
