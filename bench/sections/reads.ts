import { dotChart } from '../charts.ts'
import { whole } from '../figures.ts'
import { barsMarkdown, markdown, measuredOn, writeChart } from '../markdown.ts'
import type { ReadsResults } from '../reads.ts'

function exportsTable({ exports }: ReadsResults): string[] {
  if (!exports?.length) return []
  return [
    '### Exports',
    'Every message, from a service that has just started. The growth is that of its resident memory until its peak.',
    markdown([
      ['', 'Messages', 'Time', 'Per 100,000 messages', 'Growth of memory'],
      ...exports.map(({ format, messages, seconds, growthMiB }) => [
        format,
        whole(messages),
        `${seconds.toFixed(1)} s`,
        `${((seconds / messages) * 100_000).toFixed(1)} s`,
        growthMiB === undefined ? '' : `${whole(growthMiB)} MiB`,
      ]),
    ]),
  ]
}

function interferenceTable({ interference }: ReadsResults): string[] {
  if (!interference) return []
  const { messages, liveP99Ms, firstPageP99Ms, searches } = interference
  const ms = (value: number) => `${value.toFixed(1)} ms`
  return [
    `### Other requests during searches of ${whole(messages)} messages`,
    markdown([
      ['', 'Without searches', 'With searches'],
      [
        'Messages stored per second, eight of the worst searches',
        whole(interference.ingestAlone),
        whole(interference.ingestWithSearches),
      ],
      [
        '/health/live p99, eight of the worst searches',
        ms(liveP99Ms.alone),
        ms(liveP99Ms.withSearches),
      ],
      [
        '/health/live p99, eight of the worst searches, under full ingest',
        ms(liveP99Ms.withIngest),
        ms(liveP99Ms.withBoth),
      ],
      [
        'First page p99, one search for the common word',
        ms(firstPageP99Ms.alone),
        ms(firstPageP99Ms.withCommonWord),
      ],
      [
        '/health/live p99, one search for the common word',
        ms(liveP99Ms.alone),
        ms(interference.liveWithCommonWordP99Ms),
      ],
    ]),
    `Searches answered: ${whole(searches.answered)}; cancelled by the time limit: ${whole(searches.cancelled)}.`,
  ]
}

/** Formats the latency of each query on each size, and its ratio to that on the smallest size. */
function readsTable({ files, queries }: ReadsResults): string {
  const sizes = files.map(({ messages }) => whole(messages))
  return markdown([
    ['', ...sizes, ...sizes.slice(1).map((size) => `${size} / ${sizes[0]}`)],
    ...queries.map(({ name, timings }) => [
      name,
      ...timings.map(({ medianMs, status }) =>
        status === 200 ? `${medianMs.toFixed(2)} ms` : `answered ${status}`,
      ),
      ...timings
        .slice(1)
        .map(({ medianMs }) => `${(medianMs / (timings[0]?.medianMs ?? Number.NaN)).toFixed(2)}×`),
    ]),
  ])
}

/** Builds the section on reads on SQLite, with its chart. */
export function readsSection(found: ReadsResults): string {
  const { date, machine, files, queries, bars } = found
  const sizes = files.map(({ messages }) => whole(messages))
  const chart = dotChart(
    'Median latency',
    sizes.map((size) => `${size} messages`),
    queries.map(({ name, timings }) => ({
      label: name,
      values: timings.map(({ medianMs }) => medianMs),
    })),
  )
  return [
    '## Reads',
    measuredOn(date, machine),
    `Measured over HTTP, sizes in turns; medians of up to ${Math.max(...queries.flatMap(({ timings }) => timings.map(({ runs }) => runs)))} responses each. The files: ${files.map(({ messages, mebibytes }) => `${whole(messages)} messages in ${whole(mebibytes)} MiB`).join(', ')}.`,
    writeChart('reads.svg', 'Median latency', chart),
    readsTable(found),
    ...exportsTable(found),
    ...interferenceTable(found),
    '### Targets',
    barsMarkdown(bars),
  ].join('\n\n')
}

/** Builds the section on reads on PostgreSQL. */
export function postgresReadsSection(found: ReadsResults): string {
  return [
    '## Reads on PostgreSQL',
    measuredOn(found.date, found.machine),
    `${found.server} with its default configuration, on the same machine; one instance. The same messages and queries.`,
    readsTable(found),
    ...exportsTable(found),
  ].join('\n\n')
}
