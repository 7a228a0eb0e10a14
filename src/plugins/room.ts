import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { refuseForNow } from './errors.ts'
import { SECURITY_HEADERS } from './headers.ts'

/** Answers to questions are larger than messages, and the threads that answer them fewer than a batch is long. */
const MESSAGES_A_QUESTION = 10

/**
 * Milliseconds after which a request that waits for its own client, with its body or with reading its answer, gives way
 * to others where there is no room: else a few hundred clients that only say that they will send something keep
 * everybody out.
 */
const CLIENT_PATIENCE_MS = 2000

/**
 * Bounds what waits: a request that finds no room is refused from its headers alone, before its body is kept, hashed
 * or parsed. Open are those whose body is still arriving, those whose message is being committed, and those whose
 * answer is still being read.
 */
async function room(app: FastifyInstance, { maxWaiting }: { maxWaiting: number }): Promise<void> {
  const bounds = {
    messages: maxWaiting,
    questions: Math.ceil(maxWaiting / MESSAGES_A_QUESTION),
    probes: Number.POSITIVE_INFINITY,
  }
  app.addHook('onRequest', (request, reply, done) => {
    const room = app.exchanges.roomOf(request)
    // This one is counted already.
    const fits = app.exchanges.open(room) <= bounds[room]
    if (fits || app.exchanges.cutSlowest(room, CLIENT_PATIENCE_MS)) done()
    else {
      // What the route itself would have set.
      if (!request.routeOptions.config.noBrowser) reply.headers(SECURITY_HEADERS)
      refuseForNow(request, reply, 'overload', `too many ${room} wait; try again`)
    }
  })
}

export default fp(room, { name: 'room', dependencies: ['exchange', 'errors', 'headers'] })
