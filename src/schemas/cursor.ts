import { createHash } from 'node:crypto'
import type { MessageFilter, Order, PagePosition } from '../db/store.ts'

/** What a cursor is bound to: it is of no use with other filters or in another order. */
export type CursorScope = MessageFilter & { order: Order }

/** Bytes of the digest: against mistakes, not against forgers, who gain nothing. */
const DIGEST_LENGTH = 9

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

/** An opaque text for a place among what the filter matches. */
export function writeCursor(scope: CursorScope, { key, id }: PagePosition): string {
  const position = Buffer.from(JSON.stringify([key, id])).toString('base64url')
  return `${digest(scope, position)}.${position}`
}

/** The place that a cursor of this scope names; undefined for anything else. */
export function readCursor(scope: CursorScope, cursor: string): PagePosition | undefined {
  const [given = '', position = '', ...rest] = cursor.split('.')
  if (rest.length > 0 || given !== digest(scope, position)) return undefined
  try {
    const [key, id]: unknown[] = JSON.parse(Buffer.from(position, 'base64url').toString())
    return typeof key === 'string' && typeof id === 'string' ? { key, id } : undefined
  } catch {
    return undefined
  }
}
