import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import client from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Verifies the signature of a body; undefined if no secret is configured. */
    verifySignature: SignatureVerifier | undefined
  }
}

/** Secret that made a signature: the current one, or the previous one while senders change over. */
export type SigningKey = 'current' | 'previous'

/** Returns the secret that an `X-Signature` header was made with, or undefined if it is invalid. */
export type SignatureVerifier = (
  body: Uint8Array,
  header: string | string[] | undefined,
) => SigningKey | undefined

/**
 * Pattern of a valid header.
 *
 * It matches the whole value: Node joins repeated headers with a comma, and `Buffer.from` silently stops at the first
 * character that is not hex.
 */
const SIGNATURE = /^(?:sha256=)?([0-9a-fA-F]{64})$/

/** Creates a verifier of HMAC-SHA256 signatures (RFC 2104) in hex, compared in constant time. */
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

/** Decorates the instance with `verifySignature`, and counts valid signatures by secret. */
async function signature(
  app: FastifyInstance,
  { secret, previousSecret }: Pick<Config, 'secret' | 'previousSecret'>,
): Promise<void> {
  /** Valid signatures by secret; copied to the metric at a scrape, as `inc` per message costs more. */
  const valid: Record<SigningKey, number> = { current: 0, previous: 0 }
  new client.Counter({
    name: 'webhook_signatures_total',
    help: 'Valid signatures by the secret that made them: current or previous.',
    labelNames: ['key'],
    registers: [app.registry],
    collect() {
      this.reset()
      for (const [key, count] of Object.entries(valid)) this.inc({ key }, count)
    },
  })
  if (secret === undefined) {
    app.decorate('verifySignature', undefined)
    app.log.warn('WEBHOOK_SECRET is not set: every post to /webhook is rejected with 503')
    return
  }
  const verify = createVerifier(secret, previousSecret)
  app.decorate('verifySignature', (body, header) => {
    const key = verify(body, header)
    if (key) valid[key]++
    return key
  })
}

export default fp(signature, { name: 'signature', dependencies: ['metrics'] })
