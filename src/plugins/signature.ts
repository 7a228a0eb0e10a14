import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined without a secret: then no signature can be right. */
    verifySignature: SignatureVerifier | undefined
  }
}

/** Whether the value of an `X-Signature` header signs exactly these bytes. */
export type SignatureVerifier = (body: Uint8Array, header: string | string[] | undefined) => boolean

/**
 * The whole header: two headers arrive joined with a comma, and decoding hex stops silently at the first
 * character that is none.
 */
const SIGNATURE = /^(?:sha256=)?([0-9a-fA-F]{64})$/

/** A verifier of HMAC-SHA256 signatures (RFC 2104) in hex, compared in constant time. */
export function createVerifier(secret: string): SignatureVerifier {
  const key = createSecretKey(secret, 'utf8')
  return (body, header) => {
    const hex = typeof header === 'string' ? SIGNATURE.exec(header)?.[1] : undefined
    if (hex === undefined) return false
    const expected = createHmac('sha256', key).update(body).digest()
    return timingSafeEqual(Buffer.from(hex, 'hex'), expected)
  }
}

async function signature(
  app: FastifyInstance,
  { secret }: { secret: string | undefined },
): Promise<void> {
  app.decorate('verifySignature', secret === undefined ? undefined : createVerifier(secret))
  if (secret === undefined) {
    app.log.warn('WEBHOOK_SECRET is not set: every post to /webhook is refused with 503')
  }
}

export default fp(signature, { name: 'signature' })
