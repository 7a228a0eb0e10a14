import type { FeedResults } from '../feed.ts'
import { whole } from '../figures.ts'
import { barsMarkdown, markdown, measuredOn } from '../markdown.ts'

/** Builds the section on the feed. */
export function feedSection({
  date,
  machine,
  server,
  settings,
  rounds,
  ...found
}: FeedResults): string {
  const { delayMs, postgresDelayMs, bars } = found
  const delayOf = ({ median, max }: FeedResults['delayMs']) =>
    `${whole(median)} ms in the median and at most ${whole(max)} ms`
  return [
    '## Feed',
    measuredOn(date, machine),
    `Messages per second into an empty file while streams of the feed are open, ${settings.seconds} s each, in turns. Without streams, the mean of the rates before and after. The processes that post and read share the cores with the service.`,
    markdown([
      ['Round', 'no stream', '100 that receive nothing', '10 that receive everything'],
      ...rounds.map(({ none, idle, reading }, round) => [
        String(round + 1),
        ...[none, idle, reading].map(whole),
      ]),
    ]),
    `Without other load, the delay from the response to a post until its event is ${delayOf(delayMs)} on SQLite.`,
    ...(postgresDelayMs
      ? [
          `On ${server}, with the post and the stream on different instances, it is ${delayOf(postgresDelayMs)}.`,
        ]
      : []),
    barsMarkdown(bars),
  ].join('\n\n')
}
