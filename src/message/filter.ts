/** Order of a page: by instant, then by the bytes of the id. */
export type Order = 'asc' | 'desc'

/** Filter of messages; an absent field matches every message. */
export interface MessageFilter {
  /** The sender; exact match. */
  from?: string | undefined
  /** The recipient; exact match. Not indexed: every message that the other filters match is read. */
  to?: string | undefined
  /** Sort key of the earliest instant, inclusive; see `instantKey`. Excludes messages without an instant. */
  since?: string | undefined
  /** Sort key of the latest instant, exclusive; excludes messages without an instant. */
  until?: string | undefined
  /** A literal substring of the text under `fold`; empty matches every message, even without text. */
  q?: string | undefined
}

/** Position of a message in the order of pages. */
export interface PagePosition {
  /** The sort key of its instant; empty if it has none. */
  key: string
  id: string
}

/** Position of a message whose id is too long for a cursor, which then carries a hash of the id. */
export interface HashedPosition {
  key: string
  /** SHA-256 of the id in UTF-8, in hex. */
  idHash: string
}
