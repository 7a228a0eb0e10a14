import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { serviceUnavailable } from '../plugins/errors.ts'
import { answer } from '../schemas/component.ts'
import { Alive, Ready } from '../schemas/health.ts'
import { problem } from '../schemas/problem.ts'

/** How long the database may take to show that it works, in milliseconds: probes give up after a second. */
const READY_WITHIN_MS = 800

/** Probes for an orchestrator. */
const health: FastifyPluginAsyncTypebox = async (app) => {
  const { measures, shutdown } = app
  measures.ready = () => measures.databaseReady && !shutdown.draining && !!app.verifySignature

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
      measures.databaseReady = true
    } catch (cause) {
      measures.databaseReady = false
      throw app.httpErrors.createError(503, 'database not ready', { cause })
    } finally {
      clearTimeout(timer)
    }
  }
}

export default health
