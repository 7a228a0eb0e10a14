import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import client from '@prometheus-io/client'
import { serviceUnavailable } from '../plugins/errors.ts'
import { answer } from '../schemas/component.ts'
import { Alive, Ready } from '../schemas/health.ts'
import { problem } from '../schemas/problem.ts'

/** How long the database may take to show that it works, in milliseconds: probes give up after a second. */
const READY_WITHIN_MS = 800

/** Probes for an orchestrator. */
const health: FastifyPluginAsyncTypebox = async (app) => {
  /** Whether the last readiness check of the database succeeded. */
  let databaseReady = true
  new client.Gauge({
    name: 'service_ready',
    help: '1 if the service takes messages as far as the last readiness check knows, else 0.',
    registers: [app.registry],
    collect() {
      this.set(databaseReady && !app.shutdown.draining && app.verifySignature ? 1 : 0)
    },
  })

  app.get(
    '/health/live',
    {
      config: { concurrencyClass: 'probe', rateLimit: false },
      schema: {
        tags: ['operation'],
        operationId: 'getLiveness',
        summary: 'Is the process alive?',
        description: 'Never asks the database.',
        response: { 200: answer(Alive) },
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
        summary: 'Can the service take messages?',
        response: {
          200: answer(Ready),
          503: problem('Not ready: the detail says why.', 'database not ready'),
        },
      },
    },
    async (request, reply) => {
      if (app.shutdown.draining) {
        // A planned stop is no error.
        request.outcomeLevel = 'info'
        return serviceUnavailable(request, reply, 'stopping', 'shutting down')
      }
      if (!app.verifySignature) {
        return serviceUnavailable(request, reply, 'no_secret', 'WEBHOOK_SECRET is not set')
      }
      await readyWithin(READY_WITHIN_MS)
      return { status: 'ready' as const }
    },
  )

  async function readyWithin(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`the database did not answer within ${ms} ms`)), ms)
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
