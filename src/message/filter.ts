import { fold } from './fold.ts'
import type { MessageWithDetails } from './message.ts'

/** Order of a page: by instant, then by the bytes of the id. */
export type Order = 'asc' | 'desc'

/** Filter of messages; an absent field matches every message. */
export interface MessageFilter {
  /** The sender; exact match. */
  from?: string | undefined
  /** The recipient; exact match. Not indexed: every message that the other filters match is read. */
  to?: string | undefined
  /** The source; exact match. Not indexed. */
  source?: string | undefined
  /** The kind of message; exact match. Not indexed. */
  type?: string | undefined
  /** Sort key (see `instantKey`) of the earliest instant, inclusive; excludes messages without one. */
  since?: string | undefined
  /** Sort key of the latest instant, exclusive; excludes messages without one. */
  until?: string | undefined
  /** A literal substring of the text under `fold`; empty matches every message, even without text. */
  q?: string | undefined
}

/** The fields of a filter that no index serves. */
const UNINDEXED = ['to', 'source', 'type'] as const satisfies (keyof MessageFilter)[]

/** A field of a filter that no index serves. */
export type UnindexedField = (typeof UNINDEXED)[number]

/**
 * Whether a filter has a field that no index serves.
 * Every message that the other fields match is then read.
 */
export function isUnindexed(filter: MessageFilter): boolean {
  return UNINDEXED.some((field) => filter[field] !== undefined)
}

/** Filter of the feed; an absent field matches every message. */
export type FeedFilter = Omit<MessageFilter, 'since' | 'until'>

/** Whether a filter of the feed matches some messages only. */
export function isRestrictive(filter: FeedFilter): boolean {
  return Boolean(filter.q) || filter.from !== undefined || isUnindexed(filter)
}

/**
 * Returns the predicate of a filter.
 * It is called with a message and with a function that returns the text of the message under `fold`.
 */
export function matcherOf(
  filter: FeedFilter,
): (message: MessageWithDetails, foldedText: () => string) => boolean {
  const { from, to, source, type } = filter
  const needle = fold(filter.q ?? '')
  return (message, foldedText) =>
    (from === undefined || message.from_msisdn === from) &&
    (to === undefined || message.to_msisdn === to) &&
    (source === undefined || message.source === source) &&
    (type === undefined || message.type === type) &&
    (needle === '' || foldedText().includes(needle))
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
