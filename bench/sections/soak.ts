import { timeChart } from '../charts.ts'
import { whole } from '../figures.ts'
import { barsMarkdown, measuredOn, writeChart } from '../markdown.ts'
import type { SoakResults } from '../soak.ts'

/** Builds the section on the soak, with its chart. */
export function soakSection({ date, machine, settings, samples, bars }: SoakResults): string {
  const of = (value: (sample: SoakResults['samples'][number]) => number) => samples.map(value)
  const chart = timeChart(
    `${settings.minutes} minutes of load`,
    of(({ second }) => second),
    [
      { label: 'Memory', unit: 'MiB', values: of(({ memoryMiB }) => memoryMiB) },
      { label: 'Descriptors', unit: '', values: of(({ descriptors }) => descriptors) },
      { label: 'Messages, p99', unit: 'ms', values: of(({ messages }) => messages.p99Ms) },
      { label: 'Queries, p99', unit: 'ms', values: of(({ queries }) => queries.p99Ms) },
    ],
  )
  return [
    '## Soak',
    measuredOn(date, machine),
    `${settings.minutes} minutes at ${whole(settings.rate)} messages a second over ${settings.connections} connections, with concurrent pages, searches and statistics, sampled every ${settings.every} s. Compares the medians of the first third, after a minute of warm-up, and of the last third.`,
    writeChart('soak.svg', 'Memory, descriptors and latencies over time', chart),
    barsMarkdown(bars),
  ].join('\n\n')
}
