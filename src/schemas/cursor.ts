import { createHash } from 'node:crypto'
import type { HashedPosition, MessageFilter, Order, PagePosition } from '../message/filter.ts'

/** Filters and order that a cursor is bound to; it is invalid with any others. */
export type CursorScope = MessageFilter & { order: Order }

/** Bytes of the digest, which detects mistakes; a forged cursor gives no further access. */
const DIGEST_LENGTH = 9

/**
 * Maximum bytes of a position that a cursor contains in full; longer ones are hashed.
 * Positions of ids that the webhook accepts are shorter. Ids in a database of the legacy Python service may have any
 * length, while Node limits request headers to 16 KiB.
 */
const MAX_POSITION_BYTES = 4096

/** The values that a cursor is bound to. */
type Bindings = readonly (string | null)[]

/** Returns a digest that binds a position to values. */
function digest(bindings: Bindings, position: string): string {
  return createHash('sha256')
    .update(JSON.stringify([...bindings, position]))
    .digest()
    .subarray(0, DIGEST_LENGTH)
    .toString('base64url')
}

/** Returns the cursor of a position, which is a JSON array, bound to values. */
export function sealCursor(bindings: Bindings, json: string): string {
  const position = Buffer.from(json).toString('base64url')
  return `${digest(bindings, position)}.${position}`
}

/** Returns the array in a cursor, undefined if it is malformed or bound to other values. */
export function openCursor(bindings: Bindings, cursor: string): unknown[] | undefined {
  const [given = '', position = '', ...rest] = cursor.split('.')
  if (rest.length > 0 || given !== digest(bindings, position)) return undefined
  try {
    const array: unknown = JSON.parse(Buffer.from(position, 'base64url').toString())
    return Array.isArray(array) ? array : undefined
  } catch {
    return undefined
  }
}

/** Returns the values that a cursor of messages is bound to. */
function bindingsOf({ order, from, to, since, until, q, source, type }: CursorScope): Bindings {
  return Object.values({
    order,
    from: from ?? null,
    to: to ?? null,
    since: since ?? null,
    until: until ?? null,
    q: q ?? '',
    // Omitted if absent, so that cursors of versions without these filters stay valid.
    ...(source !== undefined && { source: `source ${source}` }),
    ...(type !== undefined && { type: `type ${type}` }),
  } satisfies Partial<Record<keyof CursorScope, string | null>>)
}

/** Returns the cursor of a position: an opaque string of bounded length. */
export function writeCursor(scope: CursorScope, { key, id }: PagePosition): string {
  let json = JSON.stringify([key, id])
  if (Buffer.byteLength(json) > MAX_POSITION_BYTES) {
    const idHash = createHash('sha256').update(id).digest('hex')
    json = JSON.stringify([key, { idHash }])
  }
  return sealCursor(bindingsOf(scope), json)
}

/** Returns the position in a cursor, undefined if it is malformed or belongs to another scope. */
export function readCursor(
  scope: CursorScope,
  cursor: string,
): PagePosition | HashedPosition | undefined {
  const [key, id] = openCursor(bindingsOf(scope), cursor) ?? []
  if (typeof key !== 'string') return undefined
  if (typeof id === 'string') return { key, id }
  const hashed = typeof id === 'object' && id !== null && 'idHash' in id
  return hashed && typeof id.idHash === 'string' ? { key, idHash: id.idHash } : undefined
}
