import type { Sender, SenderOrder, SenderPosition } from '../schemas/senders.ts'

/** A query for one page of the senders whose number begins with a prefix. */
export interface SenderQuery {
  /** The beginning of the number; empty for every sender. */
  prefix: string
  order: SenderOrder
  /** Maximum number of senders, at least 1. */
  limit: number
  /** Position after which the page starts. Its number begins with the prefix. */
  after?: SenderPosition | undefined
}

/** A page of senders. */
export interface SenderPage {
  data: Sender[]
  /** Position after which the next page starts; undefined if this page is the last one. */
  next: SenderPosition | undefined
}

/** The number of messages of a sender. */
export type SenderCount = Pick<Sender, 'from' | 'count'>

/** Whether a query may skip many senders before it finds the ones of its page. */
export function isSlowSenderQuery({ prefix, order }: SenderQuery): boolean {
  return prefix !== '' && order === 'count'
}

/**
 * Returns the least string greater than every string that begins with the prefix, by bytes of UTF-8.
 * Returns undefined if there is none, as for the empty prefix.
 */
export function endOfPrefix(prefix: string): string | undefined {
  const characters = [...prefix]
  for (;;) {
    const last = characters.pop()?.codePointAt(0)
    if (last === undefined) return undefined
    // No text contains the surrogates after U+D7FF.
    const next = last === 0xd7ff ? 0xe000 : last + 1
    if (next <= 0x10ffff) return characters.join('') + String.fromCodePoint(next)
  }
}

/** Returns the position after the page if `limit + 1` senders were found. */
export function nextPosition(
  found: readonly SenderCount[],
  { limit }: SenderQuery,
): SenderPosition | undefined {
  const last = found[limit - 1]
  return last && found.length > limit ? { count: last.count, number: last.from } : undefined
}
