import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { SigningKey } from './source.ts'

/** Returns the secret that made a signature of a body, or undefined if the signature is invalid. */
export type SignatureVerifier = (
  body: Uint8Array,
  header: string | string[] | undefined,
) => SigningKey | undefined

/**
 * Pattern of a valid header.
 * It matches the whole value: Node joins repeated headers with a comma, and `Buffer.from` silently stops at the first
 * character that is not hex.
 */
const SIGNATURE = /^(?:sha256=)?([0-9a-fA-F]{64})$/

/**
 * Creates a verifier of HMAC-SHA256 signatures (RFC 2104) in hex, compared in constant time.
 * @param current the current secret
 * @param previous the former secret, which is still accepted
 */
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

/** Returns the HMAC-SHA256 of a body in hex. */
export function hexSignature(secret: string, body: string): string {
  return createHmac('sha256', secret).update(body).digest('hex')
}
