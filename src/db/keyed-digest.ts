import { createHmac } from 'node:crypto'

/** Bytes of a digest; collisions are negligible even for billions of ids. */
const DIGEST_BYTES = 16

/**
 * Returns the digest of a text under a key: HMAC-SHA256, shortened.
 * Without the key of the database it does not reveal whether it belongs to a known text.
 */
export function keyedDigest(key: Uint8Array, text: string): Uint8Array {
  return createHmac('sha256', key).update(text).digest().subarray(0, DIGEST_BYTES)
}
