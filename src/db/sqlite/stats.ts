import type { Stats } from '../../schemas/stats.ts'
import { TOP_SENDERS } from '../message-store.ts'
import type { countQueries } from './queries/count.ts'
import { comparatorOf } from './senders.ts'
import type { Prepared } from './statement.ts'

/** Prepares the statistics. The function that it returns must run within a read transaction. */
export function prepareStats(queries: Prepared<typeof countQueries>): () => Stats {
  return function stats() {
    const { seq: watermark = 0, messages = 0, senders = 0 } = queries.watermark.get() ?? {}
    const above = queries.aboveBySender.all({ watermark })
    // The busiest senders are among those with the highest counters and those with messages above the watermark.
    const counts = new Map(queries.topSenders.all().map(({ from, count }) => [from, count]))
    for (const { from, known, count } of above) counts.set(from, (known ?? 0) + count)
    const busiest = [...counts]
      .map(([from, count]) => ({ from, count }))
      .sort(comparatorOf({ order: 'count' }))
    return {
      total_messages: messages + above.reduce((sum, { count }) => sum + count, 0),
      senders_count: senders + above.filter(({ known }) => known === null).length,
      messages_per_sender: busiest.slice(0, TOP_SENDERS),
      first_message_ts: queries.first.get()?.ts ?? null,
      last_message_ts: queries.last.get()?.ts ?? null,
    }
  }
}
