import { barChart } from '../charts.ts'
import { whole } from '../figures.ts'
import type { IngestResults } from '../ingest.ts'
import { barsMarkdown, markdown, measuredOn, writeChart } from '../markdown.ts'

/** Builds the section on ingest, with its chart. */
export function ingestSection(found: IngestResults): string {
  const { date, machine, settings, sustained, candidates, ratios, bars } = found
  const rateOf = (wanted: string) =>
    candidates.find(({ name }) => name === wanted)?.rate ?? Number.NaN
  const chart = barChart(
    `Signed messages a second, bursts of ${settings.seconds} s, ${settings.connections} connections`,
    candidates.map(({ title, rate, rounds }) => ({
      label: title,
      value: rate,
      rounds: rounds.map((round) => round.rate),
    })),
    [0.6].map((share) => ({ label: share.toFixed(2), value: rateOf('floor') * share })),
  )
  return [
    '## Ingest',
    measuredOn(date, machine),
    `${settings.minute} s of full load over ${settings.connections} connections, ids random UUIDs, 50,000 senders. The floor is measured right before and right after.`,
    markdown([
      [
        'Messages in the file',
        'Messages per second',
        'Relative to the floor',
        'p50',
        'p99',
        'Longest',
        'Peak memory',
      ],
      ...sustained.map(({ messages, rate, ratio, p50Ms, p99Ms, maxMs, peakMemoryMiB }) => [
        whole(messages),
        whole(rate),
        ratio.toFixed(2),
        `${p50Ms.toFixed(1)} ms`,
        `${p99Ms.toFixed(1)} ms`,
        `${whole(maxMs)} ms`,
        peakMemoryMiB === undefined ? '' : `${whole(peakMemoryMiB)} MiB`,
      ]),
    ]),
    'Reads while ingest runs at full load, p99:',
    markdown([
      ['', 'Messages in the file', 'Without ingest', 'With ingest'],
      ...sustained.flatMap(({ messages, reads }) =>
        reads.map(({ name, idleP99Ms, busyP99Ms }) => [
          name,
          whole(messages),
          `${idleP99Ms.toFixed(1)} ms`,
          `${busyP99Ms.toFixed(1)} ms`,
        ]),
      ),
    ]),
    '### Compared with other designs',
    `${settings.rounds} bursts of ${settings.seconds} s each, in turns; medians of the bursts. All but the floor answer when the message is synced.`,
    writeChart('ingest.svg', 'Signed messages a second', chart),
    markdown([
      ['', 'Requests per second', 'p50', 'p99', 'Relative to the floor', 'Peak memory'],
      ...candidates.map(({ title, name, rate, p50Ms, p99Ms, peakMemoryMiB }) => [
        title,
        whole(rate),
        `${p50Ms.toFixed(2)} ms`,
        `${p99Ms.toFixed(2)} ms`,
        (ratios[name] ?? Number.NaN).toFixed(2),
        peakMemoryMiB === undefined ? '' : `${whole(peakMemoryMiB)} MiB`,
      ]),
    ]),
    barsMarkdown(bars),
  ].join('\n\n')
}
