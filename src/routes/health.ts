import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import client from '@prometheus-io/client'
import { serviceUnavailable } from '../plugins/errors.ts'
import { jsonResponse } from '../schemas/component.ts'
import { Alive, Ready } from '../schemas/health.ts'
import { problem } from '../schemas/problem.ts'

/** Milliseconds for the readiness check of the database; below the usual probe timeout of 1 s. */
const READY_TIMEOUT_MS = 800

/** Serves the liveness and readiness probes. */
const health: FastifyPluginAsyncTypebox = async (app) => {
  /** Whether the last readiness check of the database succeeded. */
  let databaseReady = true
  new client.Gauge({
    name: 'service_ready',
    help: '1 if the service accepts messages, according to the last readiness check, else 0.',
    registers: [app.registry],
    collect() {
      this.set(databaseReady && !app.shutdown.draining && app.receivers.length > 0 ? 1 : 0)
    },
  })

  app.get(
    '/health/live',
    {
      config: { concurrencyClass: 'probe', rateLimit: false },
      schema: {
        tags: ['operation'],
        operationId: 'getLiveness',
        summary: 'Check liveness',
        description: 'Does not access the database.',
        response: { 200: jsonResponse(Alive) },
      },
    },
    () => ({ status: 'alive' as const }),
  )

  app.get(
    '/health/ready',
    {
      config: { concurrencyClass: 'probe', rateLimit: false },
      schema: {
        tags: ['operation'],
        operationId: 'getReadiness',
        summary: 'Check readiness',
        response: {
          200: jsonResponse(Ready),
          503: problem('Not ready; `detail` is the reason.', 'database not ready'),
        },
      },
    },
    async (request, reply) => {
      if (app.shutdown.draining) {
        // A planned stop is not an error.
        request.outcomeLevel = 'info'
        return serviceUnavailable(request, reply, 'stopping', 'shutting down')
      }
      if (app.receivers.length === 0) {
        return serviceUnavailable(request, reply, 'no_secret', 'WEBHOOK_SECRET is not set')
      }
      await checkDatabase()
      return { status: 'ready' as const }
    },
  )

  /** Checks the database, and records the result for the metric. @throws HttpError 503 */
  async function checkDatabase(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      const error = new Error(`the database did not respond within ${READY_TIMEOUT_MS} ms`)
      timer = setTimeout(reject, READY_TIMEOUT_MS, error)
    })
    try {
      await Promise.race([app.store.ready(), late])
      databaseReady = true
    } catch (cause) {
      databaseReady = false
      throw app.httpErrors.createError(503, 'database not ready', { cause })
    } finally {
      clearTimeout(timer)
    }
  }
}

export default health
