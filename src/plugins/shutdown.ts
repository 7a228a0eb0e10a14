import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    shutdown: Shutdown
  }
}

/** Milliseconds after which connections that are still open are closed, once the listener is closed. */
const CLOSE_TIMEOUT_MS = 7000

/** Phase of a graceful shutdown. */
export interface Shutdown {
  /** The service is no longer ready, but still accepts connections until load balancers have noticed. */
  draining: boolean
  /** The listener is closed; requests on open connections are answered, with `Connection: close`. */
  closing: boolean
}

/**
 * Graceful shutdown. Pools are kept alive while draining, as clients that reconnect could be reset at the moment
 * when the listener closes.
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
