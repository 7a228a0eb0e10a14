import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import client from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined without a secret: then no signature can be right. */
    verifySignature: SignatureVerifier | undefined
  }
}

/** A secret that senders may sign with: the one of now, or the one before it, until every sender has changed. */
export type SigningKey = 'current' | 'previous'

/** Which secret made the value of an `X-Signature` header sign exactly these bytes, undefined where none did. */
export type SignatureVerifier = (
  body: Uint8Array,
  header: string | string[] | undefined,
) => SigningKey | undefined

/**
 * The whole header: two headers arrive joined with a comma, and decoding hex stops silently at the first
 * character that is none.
 */
const SIGNATURE = /^(?:sha256=)?([0-9a-fA-F]{64})$/

/** A verifier of HMAC-SHA256 signatures (RFC 2104) in hex, compared in constant time. */
export function createVerifier(current: string, previous?: string): SignatureVerifier {
  const keys: [SigningKey, KeyObject][] = [['current', createSecretKey(current, 'utf8')]]
  if (previous !== undefined) keys.push(['previous', createSecretKey(previous, 'utf8')])
  return (body, header) => {
    const hex = typeof header === 'string' ? SIGNATURE.exec(header)?.[1] : undefined
    if (hex === undefined) return undefined
    const given = Buffer.from(hex, 'hex')
    for (const [name, key] of keys) {
      if (timingSafeEqual(given, createHmac('sha256', key).update(body).digest())) return name
    }
    return undefined
  }
}

async function signature(
  app: FastifyInstance,
  { secret, previousSecret }: Pick<Config, 'secret' | 'previousSecret'>,
): Promise<void> {
  const signatures = new client.Counter({
    name: 'webhook_signatures_total',
    help: 'Right signatures by the secret that made them: current or previous.',
    labelNames: ['key'],
    registers: [app.registry],
  })
  const counters = {
    current: signatures.labels('current'),
    previous: signatures.labels('previous'),
  }
  for (const counter of Object.values(counters)) counter.inc(0)
  if (secret === undefined) {
    app.decorate('verifySignature', undefined)
    app.log.warn('WEBHOOK_SECRET is not set: every post to /webhook is refused with 503')
    return
  }
  const verify = createVerifier(secret, previousSecret)
  app.decorate('verifySignature', (body, header) => {
    const key = verify(body, header)
    if (key) counters[key].inc()
    return key
  })
}

export default fp(signature, { name: 'signature', dependencies: ['metrics'] })
