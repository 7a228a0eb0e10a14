import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Phase of the graceful shutdown. */
    shutdown: Shutdown
  }
}

/** Milliseconds after the listener closes until connections that are still open are closed. */
const CLOSE_TIMEOUT_MS = 7000

/** Phase of a graceful shutdown. */
class Shutdown {
  readonly #drain = new AbortController()
  /** Whether the listener is closed; requests on open connections are served with `Connection: close`. */
  closing = false

  /** Aborted when draining begins. */
  get signal(): AbortSignal {
    return this.#drain.signal
  }

  /** Whether draining has begun: readiness is 503, and requests are served until the listener closes. */
  get draining(): boolean {
    return this.#drain.signal.aborted
  }

  /** Begins draining. */
  drain(): void {
    this.#drain.abort()
  }
}

/**
 * Shuts the service down gracefully.
 * While draining, responses keep their connections open: if a client had to reconnect, its new connection could be
 * reset when the listener closes.
 */
async function shutdown(app: FastifyInstance): Promise<void> {
  const state = new Shutdown()
  app.decorate('shutdown', state)
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (state.closing) reply.header('connection', 'close')
    done()
  })
  let timer: NodeJS.Timeout | undefined
  app.addHook('preClose', async () => {
    state.drain()
    state.closing = true
    timer = setTimeout(() => app.server.closeAllConnections(), CLOSE_TIMEOUT_MS)
  })
  app.addHook('onClose', async () => clearTimeout(timer))
}

export default fp(shutdown, { name: 'shutdown' })
