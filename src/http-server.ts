import {
  type IncomingMessage,
  type RequestListener,
  Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Requests that may wait on a connection for the response to an earlier one. */
const MAX_PIPELINED = 8

/** Milliseconds that a client may take to read what was written to its connection, and between two checks. */
const UNREAD_TIMEOUT_MS = 15_000
const CHECK_INTERVAL_MS = 1000

/** Milliseconds that idle connections stay open while the server closes: a request may be on its way. */
const LINGER_MS = 500

/** Milliseconds after a half-close, doubled each time, until it is probed whether the client is still there. */
const PROBE_DELAY_MS = 250
const MAX_PROBE_DELAY_MS = 2000

interface Pipelined {
  request: IncomingMessage
  response: ServerResponse
}

/** A connection handles one request at a time, whatever its client pipelines. */
class Connection {
  readonly socket: Socket
  readonly #handle: RequestListener
  readonly #isClosing: () => boolean
  #current: ServerResponse | undefined
  #waiting: Pipelined[] = []
  #afterResponses: (() => void) | undefined
  /** When everything written was read, by `performance.now()`. */
  #readUntil = performance.now()

  constructor(socket: Socket, handle: RequestListener, isClosing: () => boolean) {
    this.socket = socket
    this.#handle = handle
    this.#isClosing = isClosing
    socket.once('end', () => this.#probe(PROBE_DELAY_MS))
  }

  get isIdle(): boolean {
    return !this.#current
  }

  /** Handles a request at once, or when the requests before it on this connection are answered. */
  accept(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#current) this.#start(request, response)
    else if (this.#waiting.length < MAX_PIPELINED) {
      this.#waiting.push({ request, response })
      this.socket.pause()
    } else {
      this.#waiting = []
      this.socket.destroy()
      // Node makes request objects of everything that it has already read, one for each 26 bytes, and an error with
      // a stack for each of those when the connection closes. This property is not documented.
      const { parser }: Carrier = this.socket
      if (parser) parser.onIncoming = ignoreRequest
    }
  }

  /** Calls back when every request before an error on this connection is answered; only the first call counts. */
  afterResponses(callback: () => void): void {
    if (this.#afterResponses) return
    this.#afterResponses = callback
    this.#fail()
  }

  /** Closes the connection if its client has not read what was written for it for too long. */
  closeStalled(now: number): void {
    if (this.socket.writableLength === 0) this.#readUntil = now
    else if (now - this.#readUntil > UNREAD_TIMEOUT_MS) this.socket.destroy()
  }

  #start(request: IncomingMessage, response: ServerResponse): void {
    // A request that arrives after the last response is not handled, as nobody would learn what became of it.
    if (!this.socket.writable) return
    this.#current = response
    response.on('close', onClose)
    this.#handle(request, response)
  }

  /** Goes on with the next request. */
  next(): void {
    this.#current = undefined
    const next = this.#waiting.shift()
    if (next) this.#start(next.request, next.response)
    else if (this.#isClosing()) this.socket.end()
    else this.socket.resume()
    if (this.#afterResponses) this.#fail()
  }

  /** Reports an error once only the request that it broke off, if any, is left. */
  #fail(): void {
    if (this.#waiting.length > 0 || this.#current?.req.complete) return
    this.#afterResponses?.()
  }

  /**
   * After the client has closed its side, writes an interim response now and then while its request is handled. A
   * client that only half-closed ignores it; one that closed the connection answers with a reset, which cancels reads.
   */
  #probe(delayMs: number): void {
    setTimeout(() => {
      const response = this.#current
      if (!response || this.socket.destroyed) return
      if (!response.headersSent && response.req.httpVersion === '1.1') response.writeProcessing()
      if (delayMs < MAX_PROBE_DELAY_MS) this.#probe(2 * delayMs)
    }, delayMs).unref()
  }
}

/** Property of a socket: a WeakMap's entries would slow down garbage collection. */
const CONNECTION = Symbol('connection')

type Carrier = Duplex & { [CONNECTION]?: Connection; parser?: { onIncoming?(): number } }

function connectionOf(socket: Duplex): Connection | undefined {
  return (socket as Carrier)[CONNECTION]
}

/** Takes a request from Node's parser; 0 stands for no special treatment of its body. */
const ignoreRequest = () => 0

/** Shared by all responses. */
function onClose(this: ServerResponse): void {
  connectionOf(this.req.socket)?.next()
}

/** Calls back once the requests that arrived on a socket before an error are answered; only the first call counts. */
export function afterResponses(socket: Duplex, callback: () => void): void {
  const connection = connectionOf(socket)
  if (connection) connection.afterResponses(callback)
  else callback()
}

/**
 * Node's HTTP server with bounded connections: pipelined requests are handled one at a time, clients that half-close
 * are answered (RFC 9112, section 9.6), those that do not read are disconnected, and closing answers what arrives on
 * open connections.
 */
class ConnectionServer extends Server {
  readonly #connections = new Set<Connection>()
  #closing = false

  constructor(options: ServerOptions, handle: RequestListener) {
    super(options)
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
    // An expectation that is not understood may be ignored (RFC 9110, section 10.1.1).
    this.on('checkExpectation', accept)
    this.on('listening', () => {
      const check = setInterval(() => {
        const now = performance.now()
        for (const connection of this.#connections) connection.closeStalled(now)
      }, CHECK_INTERVAL_MS).unref()
      this.once('close', () => clearInterval(check))
    })
  }

  /** Called when the server closes; idle connections stay open a little longer, as a request may be on its way. */
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

/** Creates the HTTP server of the service. */
export function createServer(options: ServerOptions, handle: RequestListener): Server {
  return new ConnectionServer(options, handle)
}
