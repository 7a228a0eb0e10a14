import type { IncomingHttpHeaders } from 'node:http'
import client from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../config.ts'
import { SOURCES } from '../sources/all.ts'
import type { Receiver, SigningKey } from '../sources/source.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Receivers of the sources that are configured. */
    receivers: readonly Receiver[]
    /** Returns the secret that signed a body, or undefined if the signature is invalid. */
    verifySignature(
      receiver: Receiver,
      body: Uint8Array,
      headers: IncomingHttpHeaders,
    ): SigningKey | undefined
  }
}

/** Creates the receivers of the configured sources; verifies signatures and counts the valid ones. */
async function signature(
  app: FastifyInstance,
  { sources }: Pick<Config, 'sources'>,
): Promise<void> {
  const configured = SOURCES.map(({ name, createReceiver }) =>
    createReceiver(sources[name]),
  ).filter((receiver) => receiver !== undefined)
  app.decorate('receivers', configured)
  if (configured.length === 0) {
    app.log.warn('WEBHOOK_SECRET is not set: every post to /webhook is rejected with 503')
  }
  app.addHook('onListen', async () => {
    const endpoints = configured.map(({ source, path }) => `${source} at ${path}`)
    app.log.info(`sources: ${endpoints.length === 0 ? 'none' : endpoints.join(', ')}`)
  })

  /** Numbers of valid signatures, copied to the metric at a scrape; cheaper than `inc` per message. */
  const valid = new Map<Receiver, Record<SigningKey, number>>(
    configured.map((receiver) => [receiver, { current: 0, previous: 0 }]),
  )
  new client.Counter({
    name: 'webhook_signatures_total',
    help: 'Valid signatures by source, and by the secret that made them: current or previous.',
    labelNames: ['source', 'key'],
    registers: [app.registry],
    collect() {
      this.reset()
      for (const [{ source }, counts] of valid) {
        for (const [key, count] of Object.entries(counts)) this.inc({ source, key }, count)
      }
    },
  })
  app.decorate('verifySignature', (receiver, body, headers) => {
    const key = receiver.verify(body, headers)
    const counts = valid.get(receiver)
    if (key && counts) counts[key]++
    return key
  })
}

export default fp(signature, { name: 'signature', dependencies: ['metrics'] })
