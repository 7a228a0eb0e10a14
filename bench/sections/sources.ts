import { whole } from '../figures.ts'
import { barsMarkdown, markdown, measuredOn } from '../markdown.ts'
import type { SourcesResults } from '../sources.ts'

/** Builds the section on sources. */
export function sourcesSection({ date, machine, settings, rounds, bars }: SourcesResults): string {
  return [
    '## Sources',
    measuredOn(date, machine),
    `Messages per second into an empty file, ${settings.seconds} s each, in turns: posts of one message over 64 connections, and bodies of Meta of ${settings.messagesPerBody} messages over 16.`,
    markdown([
      ['Round', '`/webhook`', '`/webhook/meta`', 'p99 of a body'],
      ...rounds.map(({ webhook, meta, metaP99Ms }, round) => [
        String(round + 1),
        whole(webhook),
        whole(meta),
        `${whole(metaP99Ms)} ms`,
      ]),
    ]),
    barsMarkdown(bars),
  ].join('\n\n')
}
