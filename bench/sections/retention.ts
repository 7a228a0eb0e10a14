import { whole } from '../figures.ts'
import { barsMarkdown, markdown, measuredOn } from '../markdown.ts'
import type { RetentionResults } from '../retention.ts'

/** Builds the section on retention. */
export function retentionSection({
  date,
  machine,
  settings,
  rounds,
  bars,
}: RetentionResults): string {
  const times = ({ p50Ms, p99Ms, maxMs }: RetentionResults['rounds'][number]['keeping']) =>
    [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1)).join(', ')
  return [
    '## Retention',
    measuredOn(date, machine),
    `Milliseconds of posts over one connection, p50, p99 and the longest, while ${whole(settings.messages)} old messages are kept, and while they are removed. Then messages per second over 64 connections into an empty file, ${settings.seconds} s each: messages that are kept, and messages that expire at once.`,
    markdown([
      ['Round', 'kept', 'removed', 'removed per second', 'full speed, kept', 'full speed, expired'],
      ...rounds.map((round, index) => [
        String(index + 1),
        times(round.keeping),
        times(round.removing),
        ...[round.removedPerSecond, round.keptPerSecond, round.expiredPerSecond].map(whole),
      ]),
    ]),
    barsMarkdown(bars),
  ].join('\n\n')
}
