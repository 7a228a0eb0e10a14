import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { ABORTED } from './exchange.ts'

/** Answers on a socket on which no response can be made, and ends the connection. */
function refuse(socket: Duplex, status: number, detail: string): void {
  const body = JSON.stringify({ detail })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n` +
      `Content-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}

/** What Node's HTTP parser refuses. */
export function answerClientError(
  this: FastifyInstance,
  error: Error & { code?: string },
  socket: Duplex,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
  } else if (error.code === 'HPE_INVALID_EOF_STATE') {
    // The client ended its side in the middle: it may still listen, but most are gone.
    this.exchanges.refuse(socket, 'UNKNOWN', ABORTED)
    refuse(socket, 400, 'the request is not complete')
  } else {
    const [status, detail] =
      error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'the request took too long to arrive']
        : error.code === 'HPE_HEADER_OVERFLOW'
          ? [431, 'the headers are too large']
          : [400, 'this is no valid HTTP request']
    this.exchanges.refuse(socket, 'UNKNOWN', status)
    refuse(socket, status, detail)
  }
}

/** Answers, logs and counts what Node's HTTP server never makes a request of, like everything else. */
async function sockets(app: FastifyInstance): Promise<void> {
  app.server.on('connect', (_request, socket) => {
    app.exchanges.refuse(socket, 'CONNECT', 405)
    refuse(socket, 405, 'this is no proxy')
  })
  // An expectation that is not understood may be ignored (RFC 9110, section 10.1.1).
  app.server.on('checkExpectation', app.routing)
}

export default fp(sockets, { name: 'sockets', dependencies: ['exchange'] })
