import { hash } from 'node:crypto'

/** A position between two messages of the feed: after the message at `position`. */
export interface FeedCursor {
  /** Position of the message in the order of the feed: numbers whose meaning depends on the store. */
  position: number[]
  /**
   * Digest of the id of the message, see `digestOf`; absent before the first message.
   * It detects that the database was replaced: another database or a backup has another message at the position.
   */
  digest?: string
}

/** Characters of a digest, of 6 bits each; it detects mistakes, and need not resist forgery. */
export const DIGEST_LENGTH = 8

const CURSOR = /^(-?\d{1,16}(?:\.\d{1,16}){0,5})(?:~([\w-]{8}))?$/

/** Returns the digest of a message id. */
export function digestOf(id: string): string {
  return hash('sha256', id, 'base64url').slice(0, DIGEST_LENGTH)
}

/** Returns the text of a cursor; its characters need no encoding in a URL or a header. */
export function writeFeedCursor({ position, digest }: FeedCursor): string {
  return digest === undefined ? position.join('.') : `${position.join('.')}~${digest}`
}

/** Returns the cursor of a text; undefined if it is malformed. */
export function readFeedCursor(text: string): FeedCursor | undefined {
  const [, position, digest] = CURSOR.exec(text) ?? []
  if (position === undefined) return undefined
  return { position: position.split('.').map(Number), ...(digest !== undefined && { digest }) }
}

/** Compares two positions of one feed, number by number; negative if `a` comes first. */
export function comparePositions(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index])
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}
