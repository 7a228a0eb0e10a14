import { whole } from '../figures.ts'
import type { ImportResults } from '../import.ts'
import { barsMarkdown, markdown, measuredOn } from '../markdown.ts'

/** Builds the section on imports. */
export function importSection({ date, machine, messages, imports, bars }: ImportResults): string {
  return [
    '## Import',
    measuredOn(date, machine),
    `Imports of ${whole(messages)} messages with random ids, one after the other into the same file.`,
    markdown([
      ['Messages before', 'Messages per second', 'Database'],
      ...imports.map(({ before, rate, databaseMiB }) => [
        whole(before),
        whole(rate),
        `${whole(databaseMiB)} MiB`,
      ]),
    ]),
    barsMarkdown(bars),
  ].join('\n\n')
}
