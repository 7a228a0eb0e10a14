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
export interface Shutdown {
  /** The service reports not ready, and accepts connections until load balancers stop sending requests. */
  draining: boolean
  /** The listener is closed; requests on open connections are served, with `Connection: close`. */
  closing: boolean
}

/**
 * Shuts the service down gracefully.
 *
 * While draining, responses keep their connections open: if a client had to reconnect, its new connection could be
 * reset when the listener closes.
 */
async function shutdown(app: FastifyInstance): Promise<void> {
  const state: Shutdown = { draining: false, closing: false }
  app.decorate('shutdown', state)
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (state.closing) reply.header('connection', 'close')
    done()
  })
  let timer: NodeJS.Timeout | undefined
  app.addHook('preClose', async () => {
    state.draining = true
    state.closing = true
    timer = setTimeout(() => app.server.closeAllConnections(), CLOSE_TIMEOUT_MS)
  })
  app.addHook('onClose', async () => clearTimeout(timer))
}

export default fp(shutdown, { name: 'shutdown' })
