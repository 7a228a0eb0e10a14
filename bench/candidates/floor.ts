import Fastify from 'fastify'
import { createVerifier } from '../../src/sources/hmac.ts'

/**
 * The floor: the minimum that a Fastify server must do for a signed message.
 * It verifies the signature of the raw body and parses the JSON. It does not validate, store, log or count.
 */
const verify = createVerifier(process.env.WEBHOOK_SECRET ?? '')

const app = Fastify()
app.removeAllContentTypeParsers()
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
  const bytes = Buffer.from(body)
  if (verify(bytes, request.headers['x-signature'])) done(null, JSON.parse(bytes.toString()))
  else done(Object.assign(new Error('invalid signature'), { statusCode: 401 }))
})
app.post('/webhook', (_request, reply) => {
  reply.send({ status: 'ok' })
})
const address = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
process.stdout.write(`listening on ${address}\n`)
