import { createHash } from 'node:crypto'
import type { HashedPosition, MessageFilter, Order, PagePosition } from '../message/filter.ts'

/** What a cursor is bound to: it is of no use with other filters or in another order. */
export type CursorScope = MessageFilter & { order: Order }

/** Bytes of the digest: against mistakes, not against forgers, who gain nothing. */
const DIGEST_LENGTH = 9

/**
 * Bytes of a position that a cursor carries in full: more than an id that the webhook takes can have. An adopted id may
 * have any length, while a request line is limited to 16 KiB by default.
 */
const MAX_POSITION_BYTES = 4096

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

/** Returns an opaque, bounded text for a position among the messages that the filter matches. */
export function writeCursor(scope: CursorScope, { key, id }: PagePosition): string {
  let json = Buffer.from(JSON.stringify([key, id]))
  if (json.length > MAX_POSITION_BYTES) {
    const idHash = createHash('sha256').update(id).digest('hex')
    json = Buffer.from(JSON.stringify([key, { idHash }]))
  }
  const position = json.toString('base64url')
  return `${digest(scope, position)}.${position}`
}

/** Returns the position that a cursor of this scope names; undefined for anything else. */
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
