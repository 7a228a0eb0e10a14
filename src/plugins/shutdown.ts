import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { ROOMS } from './exchange.ts'

declare module 'fastify' {
  interface FastifyInstance {
    shutdown: Shutdown
  }
}

/** How long requests under way may take once the listener is closed, in milliseconds. */
const GRACE_MS = 7000

/** Where the service is on its way to the end. */
export interface Shutdown {
  /** No longer ready, though it still serves: load balancers are to look elsewhere. */
  draining: boolean
  /** The listener is closed: what is under way is answered, nothing new is taken. */
  closing: boolean
}

/**
 * The end of the service. From draining on, answers close their connection, so that none is left idle; once the
 * listener is closed, whatever has no request under way is cut, and the rest when its grace is over.
 */
async function shutdown(app: FastifyInstance): Promise<void> {
  const state: Shutdown = { draining: false, closing: false }
  app.decorate('shutdown', state)
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (state.draining) reply.header('connection', 'close')
    done()
  })

  const cut = () => app.server.closeAllConnections()
  const cutIfQuiet = () => {
    if (state.closing && ROOMS.every((room) => app.exchanges.open(room) === 0)) cut()
  }
  app.exchanges.onEnd(cutIfQuiet)
  let grace: NodeJS.Timeout | undefined
  app.addHook('preClose', async () => {
    state.draining = true
    state.closing = true
    grace = setTimeout(cut, GRACE_MS)
    cutIfQuiet()
  })
  app.addHook('onClose', async () => clearTimeout(grace))
}

export default fp(shutdown, { name: 'shutdown', dependencies: ['exchange'] })
