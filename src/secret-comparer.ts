import { hash, timingSafeEqual } from 'node:crypto'

/** Creates a function that returns whether a text is one of these secrets, compared in constant time. */
export function createSecretComparer(secrets: readonly string[]): (given: string) => boolean {
  // timingSafeEqual requires equal lengths, which digests have.
  const digest = (secret: string) => hash('sha256', secret, 'buffer')
  const known = secrets.map(digest)
  return (given) => {
    const digested = digest(given)
    return known.some((one) => timingSafeEqual(one, digested))
  }
}
