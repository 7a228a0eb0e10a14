import { createHash } from 'node:crypto'
import type { HashedPosition, MessageFilter, Order, PagePosition } from '../message/filter.ts'

/** Filters and order that a cursor is bound to; it is invalid with any others. */
export type CursorScope = MessageFilter & { order: Order }

/** Bytes of the digest. It detects mistakes; it need not prevent forgery, which would gain nothing. */
const DIGEST_LENGTH = 9

/**
 * Maximum bytes of a position that a cursor contains in full; longer ones are hashed.
 *
 * Positions of ids that the webhook accepts are shorter. Ids in a database of the legacy Python service may have any
 * length, while Node limits request headers to 16 KiB.
 */
const MAX_POSITION_BYTES = 4096

/** Returns a digest that binds a position to a scope. */
function digest(scope: CursorScope, position: string): string {
  const { order, from, to, since, until, q } = scope
  const bindings = {
    order,
    from: from ?? null,
    to: to ?? null,
    since: since ?? null,
    until: until ?? null,
    q: q ?? '',
  } satisfies Record<keyof CursorScope, string | null>
  const bound = JSON.stringify([...Object.values(bindings), position])
  return createHash('sha256')
    .update(bound)
    .digest()
    .subarray(0, DIGEST_LENGTH)
    .toString('base64url')
}

/** Returns the cursor of a position: an opaque string of bounded length. */
export function writeCursor(scope: CursorScope, { key, id }: PagePosition): string {
  let json = Buffer.from(JSON.stringify([key, id]))
  if (json.length > MAX_POSITION_BYTES) {
    const idHash = createHash('sha256').update(id).digest('hex')
    json = Buffer.from(JSON.stringify([key, { idHash }]))
  }
  const position = json.toString('base64url')
  return `${digest(scope, position)}.${position}`
}

/** Returns the position in a cursor, undefined if it is malformed or belongs to another scope. */
export function readCursor(
  scope: CursorScope,
  cursor: string,
): PagePosition | HashedPosition | undefined {
  const [given = '', position = '', ...rest] = cursor.split('.')
  if (rest.length > 0 || given !== digest(scope, position)) return undefined
  try {
    const [key, id]: unknown[] = JSON.parse(Buffer.from(position, 'base64url').toString())
    if (typeof key !== 'string') return undefined
    if (typeof id === 'string') return { key, id }
    const hashed = typeof id === 'object' && id !== null && 'idHash' in id
    return hashed && typeof id.idHash === 'string' ? { key, idHash: id.idHash } : undefined
  } catch {
    return undefined
  }
}
