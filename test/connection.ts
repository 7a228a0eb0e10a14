import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A parsed HTTP response. */
export interface RawResponse {
  status: number
  /** Values by lower-case name; the last one if a name is repeated. */
  headers: Record<string, string>
  body: string
}

/** The connection ended before the response was complete. */
export class ConnectionLostError extends Error {
  override readonly name = 'ConnectionLostError'
}

/** Returns the first response in the received bytes and its end; undefined while it is incomplete. */
function parse(
  received: Buffer,
  ended: boolean,
  method: string,
  from = 0,
): [RawResponse, number] | undefined {
  const headEnd = received.indexOf('\r\n\r\n', from)
  if (headEnd < 0) return undefined
  const [first = '', ...lines] = received.toString('latin1', from, headEnd).split('\r\n')
  const status = Number(first.slice(9, 12))
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  const start = headEnd + 4
  // An interim response, such as 100 Continue.
  if (status < 200) return parse(received, ended, method, start)
  const complete = (body: string, end: number): [RawResponse, number] => [
    { status, headers, body },
    end,
  ]
  if (method === 'HEAD' || status === 204 || status === 304) return complete('', start)
  if (headers['transfer-encoding'] === 'chunked') return parseChunks(received, start, complete)
  const length = headers['content-length']
  if (length === undefined) {
    return ended ? complete(received.toString('utf8', start), received.length) : undefined
  }
  const end = start + Number(length)
  return received.length < end ? undefined : complete(received.toString('utf8', start, end), end)
}

function parseChunks(
  received: Buffer,
  start: number,
  complete: (body: string, end: number) => [RawResponse, number],
): [RawResponse, number] | undefined {
  const chunks: Buffer[] = []
  for (let at = start; ; ) {
    const lineEnd = received.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(received.toString('latin1', at, lineEnd), 16)
    const next = lineEnd + 2 + size + 2
    if (received.length < next) return undefined
    if (size === 0) return complete(Buffer.concat(chunks).toString('utf8'), next)
    chunks.push(received.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = next
  }
}

/** A connection that sends raw bytes, valid or not, and reads responses one by one. */
export class Connection {
  readonly socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #wake: (() => void) | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
      this.#wake?.()
    })
    socket.on('end', () => this.#wake?.())
    socket.on('close', () => this.#wake?.())
    socket.on('error', () => undefined)
  }

  /** Opens a connection. @throws Error if it is refused. */
  static async to(url: string): Promise<Connection> {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    return new Connection(socket)
  }

  /** Whether the connection can send another request and receive its response. */
  get open(): boolean {
    return !this.socket.destroyed && !this.socket.readableEnded && this.socket.writable
  }

  /** Sends bytes. */
  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  /**
   * Returns the next response.
   * @param method method of the request; a response to HEAD has no body.
   * @throws ConnectionLostError
   */
  async readResponse(method = 'GET'): Promise<RawResponse> {
    for (;;) {
      const ended = this.socket.readableEnded || this.socket.destroyed
      const parsed = parse(this.#received, ended, method)
      if (parsed) {
        const [response, end] = parsed
        this.#received = this.#received.subarray(end)
        return response
      }
      if (ended)
        throw new ConnectionLostError('the connection ended before the response was complete')
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  close(): void {
    this.socket.destroy()
  }
}
