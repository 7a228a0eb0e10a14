import { build, compile, type Placeholders } from './compile.ts'
import { aboveWatermark, bySender, checkCancelled, eb, unindexed } from './expressions.ts'
import { inVisibleRun } from './positions.ts'

type Above = { watermark: number; since: string; until: string }

/** The sort keys of messages above the watermark. */
function aboveBetween(p: Placeholders<Above>) {
  const key = unindexed('messages.ts_key')
  return build
    .selectFrom('messages')
    .select(key.as('ts_key'))
    .where(aboveWatermark(p))
    .where(eb(key, '>=', p.since))
    .where(eb(key, '<', p.until))
    .where(checkCancelled)
}

/** The counts of a timeline that no other query has. */
export const timelineQueries = {
  days: compile(({ first, last }: Placeholders<{ first: string; last: string }>) =>
    build
      .selectFrom('days')
      .select(['day as bucket', 'count'])
      .where('day', '>=', first)
      .where('day', '<=', last)
      .orderBy('day'),
  ),
  /** The number of a sender's messages up to the watermark, by the keys of the sender index. */
  ofSender: compile((p: Placeholders<{ sender: number; since: string; until: string }>) =>
    build
      .selectFrom('sender_entries')
      .select(eb.fn.countAll<number>().as('count'))
      .where(inVisibleRun)
      .where('sender', '=', p.sender)
      .where('ts_key', '>=', p.since)
      .where('ts_key', '<', p.until),
  ),
  above: compile((p: Placeholders<Above>) => aboveBetween(p)),
  aboveOfSender: compile((p: Placeholders<Above & { from: string }>) =>
    aboveBetween(p).where(bySender(p)),
  ),
}
