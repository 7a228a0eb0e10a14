import type { Stats } from '../../schemas/stats.ts'
import { TOP_SENDERS } from '../message-store.ts'
import type { countQueries } from './queries/count.ts'
import type { Prepared } from './statement.ts'

/** Prepares the statistics; they are to be asked within one transaction. */
export function prepareStats(count: Prepared<typeof countQueries>): () => Stats {
  return function stats() {
    const { seq: watermark = 0, messages = 0, senders = 0 } = count.watermark.get() ?? {}
    const beyond = count.beyondSenders.all({ watermark })
    const named = count.top.all()
    // Whoever posted nothing beyond the watermark and belongs to the busiest is among the busiest up to it.
    const candidates = new Map(named.map((sender) => [sender.from, sender.count]))
    for (const { from, known, count } of beyond) candidates.set(from, (known ?? 0) + count)
    const busiest = [...candidates]
      .map(([from, count]) => ({ from, count }))
      .sort((a, b) => b.count - a.count || Buffer.compare(Buffer.from(a.from), Buffer.from(b.from)))
    return {
      total_messages: messages + beyond.reduce((sum, { count }) => sum + count, 0),
      senders_count: senders + beyond.filter(({ known }) => known === null).length,
      messages_per_sender: busiest.slice(0, TOP_SENDERS),
      first_message_ts: count.first.get()?.ts ?? null,
      last_message_ts: count.last.get()?.ts ?? null,
    }
  }
}
