import type { DashboardResults } from '../dashboard.ts'
import { whole } from '../figures.ts'
import { barsMarkdown, markdown, measuredOn } from '../markdown.ts'

/** Builds the section on the dashboard. */
export function dashboardSection(found: DashboardResults): string {
  const { date, machine, settings, keystrokes, bars } = found
  return [
    '## Dashboard',
    measuredOn(date, machine),
    `In Chromium on the same machine, with ${whole(settings.messages)} messages in SQLite: the first contentful paint, median of ${settings.rounds}, and milliseconds from each keystroke of a search until its results are rendered.`,
    markdown([
      ['Word', 'Milliseconds by keystroke'],
      ...keystrokes.map(({ word, ms }) => [word, ms.map(whole).join(', ')]),
    ]),
    barsMarkdown(bars),
  ].join('\n\n')
}
