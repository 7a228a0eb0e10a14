import Fastify, { type FastifyInstance } from 'fastify'
import { createVerifier } from '../../src/sources/hmac.ts'

/** A message as the load posts it. */
export interface Message {
  message_id: string
  from: string
  to: string
  ts: string
  text?: string | null
}

const verify = createVerifier(process.env.WEBHOOK_SECRET ?? '')

const BODY = {
  type: 'object',
  required: ['message_id', 'from', 'to', 'ts'],
  properties: {
    message_id: { type: 'string', minLength: 1 },
    from: { type: 'string', pattern: '^\\+[0-9]+$' },
    to: { type: 'string', pattern: '^\\+[0-9]+$' },
    ts: { type: 'string', format: 'date-time' },
    text: { type: 'string', nullable: true, maxLength: 4096 },
  },
}

/**
 * Starts the Fastify service that is usually written first: it verifies, validates and stores one message per request.
 * @param store stores a message, unless its id is known.
 * @param count returns the number of stored messages.
 * @param close releases what the other two use.
 */
export async function startPlainServer(
  store: (message: Message) => void | Promise<void>,
  count: () => number | Promise<number>,
  close: () => void | Promise<void>,
): Promise<FastifyInstance> {
  const app = Fastify()
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const bytes = Buffer.from(body)
    if (verify(bytes, request.headers['x-signature'])) done(null, JSON.parse(bytes.toString()))
    else done(Object.assign(new Error('invalid signature'), { statusCode: 401 }))
  })
  app.post<{ Body: Message }>('/webhook', { schema: { body: BODY } }, async (request) => {
    await store(request.body)
    return { status: 'ok' }
  })
  app.get('/stats', async () => ({ total_messages: await count() }))
  app.addHook('onClose', close)
  const address = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
  process.stdout.write(`listening on ${address}\n`)
  process.once('SIGTERM', () => void app.close())
  return app
}
