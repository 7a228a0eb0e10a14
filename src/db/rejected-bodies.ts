import type { RejectedBody } from '../schemas/rejected.ts'

/** Maximum bytes of all rejected bodies that a store keeps. */
export const MAX_REJECTED_BYTES = 64 * 1024 * 1024

/** A body to keep: its signature is valid, and it was rejected. */
export interface NewRejectedBody extends Omit<RejectedBody, 'id' | 'bytes'> {
  /** The headers that determine how the body is read, by their names in lower case. */
  headers: Readonly<Record<string, string>>
  /** The raw bytes. */
  body: Uint8Array
}

/** A kept body with its content. */
export type StoredRejectedBody = NewRejectedBody & RejectedBody

/** A query for kept bodies. */
export interface RejectedBodiesQuery {
  /** Only bodies with lower ids. */
  before?: number | undefined
  /** Maximum number of bodies, at least 1. */
  limit: number
}

/** The rejected bodies of a store. */
export interface RejectedBodyStore {
  /**
   * Keeps bodies, and deletes the oldest beyond `limit` bodies or `MAX_REJECTED_BYTES`, all or nothing.
   * The last of `bodies` is the newest one.
   * @throws StoreUnavailableError when the store cannot be written now.
   */
  keep(bodies: readonly NewRejectedBody[], limit: number): Promise<void>
  /** Returns bodies, newest first. Rejects when the signal is aborted. */
  list(query: RejectedBodiesQuery, signal?: AbortSignal): Promise<RejectedBody[]>
  /** Returns the body with this id, if there is one. Rejects when the signal is aborted. */
  find(id: number, signal?: AbortSignal): Promise<StoredRejectedBody | undefined>
  /** Deletes the body with this id; does nothing if there is none. */
  remove(id: number): Promise<void>
}

/** The columns of a body to keep. */
export interface NewRejectedRow {
  at: string
  source: string
  status: number
  /** JSON; null if there are no problems. */
  problems: string | null
  /** JSON. */
  headers: string
  body: Uint8Array
}

/** A batch of rows to keep. */
export interface RejectedBatch {
  rows: NewRejectedRow[]
  /** Maximum number of rows in the store. */
  limit: number
}

/** The columns of a body without its content. */
export interface RejectedRow extends Pick<NewRejectedRow, 'at' | 'source' | 'status' | 'problems'> {
  id: number
  bytes: number
}

/** Returns the row of a body to keep. */
export function toRejectedRow({ problems, headers, ...body }: NewRejectedBody): NewRejectedRow {
  return {
    ...body,
    problems: problems.length === 0 ? null : JSON.stringify(problems),
    headers: JSON.stringify(headers),
  }
}

/** Returns the rejected body of a row without its content, with its fields in the order of the API. */
export function fromRejectedRow({ id, at, source, status, problems, bytes }: RejectedRow) {
  const parsed: RejectedBody['problems'] = problems === null ? [] : JSON.parse(problems)
  return { id, at, source, status, problems: parsed, bytes } satisfies RejectedBody
}

/** Returns the rejected body of a row with its content. */
export function fromDetailedRow(
  row: RejectedRow & Pick<NewRejectedRow, 'headers' | 'body'>,
): StoredRejectedBody {
  return { ...fromRejectedRow(row), headers: JSON.parse(row.headers), body: row.body }
}
