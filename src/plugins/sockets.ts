import { STATUS_CODES } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { ABORTED } from './exchange.ts'
import { TOO_MANY_REQUESTS } from './limits.ts'

/** Answers, logs and counts on a socket on which no response can be made, and ends the connection. */
function refuse(
  app: FastifyInstance,
  socket: Duplex,
  method: string,
  rejection: { status: number; detail: string; reported?: number },
): void {
  // A request that breaks the protocol in its body is counted again.
  const retryAfter = app.countUnparsed(socket instanceof Socket ? socket.remoteAddress : undefined)
  const {
    status,
    detail,
    reported = status,
  } = retryAfter === undefined ? rejection : { status: 429, detail: TOO_MANY_REQUESTS }
  const requestId = app.exchanges.refuse(socket, method, reported)
  const body = JSON.stringify({ detail })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    `X-Request-ID: ${requestId}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  if (retryAfter !== undefined) head.push(`Retry-After: ${retryAfter}`)
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

/** What is told of an error of Node's HTTP parser. */
function refusalOf(code: string | undefined) {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, detail: 'the request took too long to arrive' }
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, detail: 'the headers are too large' }
    case 'HPE_INVALID_EOF_STATE':
      // The client ended its side in the middle: it may still listen, but most are gone.
      return { status: 400, detail: 'the request is not complete', reported: ABORTED }
    default:
      return { status: 400, detail: 'this is no valid HTTP request' }
  }
}

/** What Node's HTTP parser refuses; whatever is behind a request that still waits is answered after it. */
export function answerClientError(
  this: FastifyInstance,
  error: Error & { code?: string },
  socket: Duplex,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const answer = (): void => {
    if (socket.writable) refuse(this, socket, 'UNKNOWN', refusalOf(error.code))
  }
  const before = this.exchanges.unanswered(socket)
  if (before) before.raw.once('close', answer)
  else answer()
}

/** How long a client may take to read what was written for it, in milliseconds, and how often that is looked at. */
const ANSWER_TIMEOUT_MS = 15_000
const LOOK_EVERY_MS = 1000

/** Cuts the connections of clients that do not read their answers, which would hold them in memory for ever. */
function cutUnread(app: FastifyInstance): void {
  const nothingUnread = new Map<Socket, number>()
  app.server.on('connection', (socket) => {
    nothingUnread.set(socket, performance.now())
    socket.once('close', () => nothingUnread.delete(socket))
  })
  const look = setInterval(() => {
    const now = performance.now()
    for (const [socket, since] of nothingUnread) {
      if (socket.writableLength === 0) nothingUnread.set(socket, now)
      else if (now - since > ANSWER_TIMEOUT_MS) socket.destroy()
    }
  }, LOOK_EVERY_MS).unref()
  app.addHook('onClose', async () => clearInterval(look))
}

/** Answers, logs and counts what Node's HTTP server never makes a request of, like everything else. */
async function sockets(app: FastifyInstance): Promise<void> {
  cutUnread(app)
  app.server.on('connect', (_request, socket) => {
    // Node gives this socket away as it is: without a listener a reset would end the process.
    socket.on('error', () => socket.destroy())
    refuse(app, socket, 'CONNECT', { status: 405, detail: 'this is no proxy' })
  })
  // An expectation that is not understood may be ignored (RFC 9110, section 10.1.1).
  app.server.on('checkExpectation', app.routing)
}

export default fp(sockets, { name: 'sockets', dependencies: ['exchange', 'limits'] })
