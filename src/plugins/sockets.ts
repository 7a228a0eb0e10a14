import { STATUS_CODES } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { afterResponses } from '../http-server.ts'
import { TOO_MANY_REQUESTS } from '../schemas/problem.ts'
import { CLIENT_CLOSED_REQUEST } from './request-tracker.ts'

/** A rejection of input that is not a valid request. */
interface Rejection {
  status: number
  detail: string
  /** Status in the log and the metrics; default: `status`. */
  reported?: number
}

/** Sends, logs and counts a rejection on a socket without a response object, then closes it. */
function reject(app: FastifyInstance, socket: Duplex, method: string, rejection: Rejection): void {
  // A request whose body is malformed counts twice: the rate limit has already counted it by its headers.
  const retryAfter = app.countUnparsed(socket instanceof Socket ? socket.remoteAddress : undefined)
  const {
    status,
    detail,
    reported = status,
  } = retryAfter === undefined ? rejection : { status: 429, detail: TOO_MANY_REQUESTS }
  const requestId = app.requestTracker.reject(socket, method, reported)
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

/** Returns the rejection for an error of Node's HTTP parser. */
function rejectionOf(code: string | undefined): Rejection {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, detail: 'the request took too long to arrive' }
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, detail: 'the headers are too large' }
    case 'HPE_INVALID_EOF_STATE':
      // The client has half-closed the connection in the middle of a request; usually it has disconnected.
      return {
        status: 400,
        detail: 'the request is incomplete',
        reported: CLIENT_CLOSED_REQUEST,
      }
    default:
      return { status: 400, detail: 'the request is not valid HTTP' }
  }
}

/** Rejects input that Node's HTTP parser does not accept, after the responses to earlier requests. */
export function handleClientError(
  this: FastifyInstance,
  error: Error & { code?: string },
  socket: Duplex,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  afterResponses(socket, () => {
    if (socket.writable) reject(this, socket, 'UNKNOWN', rejectionOf(error.code))
  })
}

/** Rejects, logs and counts input that Node's HTTP server does not emit as a request. */
async function sockets(app: FastifyInstance): Promise<void> {
  app.server.on('connect', (_request, socket) => {
    // Node removes its own listeners from this socket. Without an error listener, a reset would end the process.
    socket.on('error', () => socket.destroy())
    afterResponses(socket, () => {
      reject(app, socket, 'CONNECT', { status: 405, detail: 'CONNECT is not supported' })
    })
  })
}

export default fp(sockets, { name: 'sockets', dependencies: ['request-tracker', 'rate-limits'] })
