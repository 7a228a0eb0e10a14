import { type Expression, sql } from 'kysely'
import type { Session } from '../pool.ts'

/** Rows fetched at a time. */
const CHUNK = 1000

/**
 * Reads the rows of a query in chunks, through a server-side cursor.
 * `onChunk` is called with at most 1,000 rows, each time after the previous call has resolved.
 * @param transaction a transaction in which no other cursor was opened.
 */
export async function fetchInChunks<Row>(
  transaction: Session,
  query: Expression<Row>,
  onChunk: (rows: Row[]) => Promise<void> | void,
): Promise<void> {
  await sql`declare chunks no scroll cursor for ${query}`.execute(transaction)
  const fetch = sql<Row>`fetch ${sql.lit(CHUNK)} from chunks`
  for (;;) {
    const { rows } = await fetch.execute(transaction)
    if (rows.length === 0) return
    await onChunk(rows)
  }
}
