import { countQueries } from './count.ts'
import { feedQueries } from './feed.ts'
import { matchCounts, orderedQueries, searchQueries } from './page.ts'
import { rangeQueries } from './ranges.ts'
import { rejectedReadQueries } from './rejected.ts'
import { senderQueries } from './senders.ts'
import { timelineQueries } from './timeline.ts'

/** The statements of a reader thread. */
export const readQueries = {
  pages: {
    ordered: orderedQueries,
    search: searchQueries,
    matches: matchCounts,
    ranges: rangeQueries,
  },
  counts: countQueries,
  timeline: timelineQueries,
  senders: senderQueries,
  rejected: rejectedReadQueries,
  feed: feedQueries,
}
