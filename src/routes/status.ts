import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import packageJson from '../../package.json' with { type: 'json' }
import { jsonResponse } from '../schemas/component.ts'
import { readFailures } from '../schemas/problem.ts'
import { Status } from '../schemas/status.ts'

/** Serves the state of this instance, from memory. */
const status: FastifyPluginAsyncTypebox = async (app) => {
  const startedAt = new Date().toISOString()
  const sources = app.receivers.map(({ source, path }) => ({ name: source, path }))

  app.get(
    '/status',
    {
      config: { concurrencyClass: 'read', auth: 'api' },
      schema: {
        tags: ['operation'],
        operationId: 'getStatus',
        summary: 'Get the version, the sources and the backlog',
        response: { 200: jsonResponse(Status), ...readFailures },
      },
    },
    () => ({
      version: packageJson.version,
      started_at: startedAt,
      sources,
      backlog_messages: app.store.status.backlog,
    }),
  )
}

export default status
