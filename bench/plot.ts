import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { barChart, dotChart, timeChart } from './charts.ts'
import type { DashboardResults } from './dashboard.ts'
import type { FeedResults } from './feed.ts'
import { whole } from './figures.ts'
import type { ImportResults } from './import.ts'
import type { IngestResults } from './ingest.ts'
import { barsMarkdown, markdown, measuredOn } from './markdown.ts'
import type { PostgresResults } from './postgres.ts'
import type { ReadsResults } from './reads.ts'
import type { RetentionResults } from './retention.ts'
import type { SoakResults } from './soak.ts'
import type { SourcesResults } from './sources.ts'

/**
 * Generates the charts and tables of docs/benchmarks.md from the results.
 * Replaces the text between two markers; the text outside them is written by hand.
 */
const results = new URL('./results/', import.meta.url)
const docs = new URL('../docs/', import.meta.url)
const page = new URL('benchmarks.md', docs)

const BEGIN = '<!-- figures -->'
const END = '<!-- /figures -->'

function ingestSection(found: IngestResults): string {
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
  writeFileSync(new URL('ingest.svg', docs), chart)
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
    '![Signed messages a second](ingest.svg)',
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

function importSection({ date, machine, messages, imports, bars }: ImportResults): string {
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

function postgresSection(found: PostgresResults): string {
  const { date, machine, server, settings, standings, wrong } = found
  const chart = barChart(
    `Messages a second, ${settings.connections} connections`,
    standings.map(({ title, rate, rounds }) => ({
      label: title,
      value: rate,
      rounds: rounds.map((round) => round.rate),
    })),
    [],
  )
  writeFileSync(new URL('postgres.svg', docs), chart)
  const cell = (value: number | undefined, unit = '') =>
    value === undefined ? '' : `${value.toFixed(2)}${unit}`
  const perMessage = (cores: number | undefined, rate: number) =>
    cores === undefined ? '' : whole((cores / rate) * 1e6)
  return [
    '## PostgreSQL',
    measuredOn(date, machine),
    `${server} with its default configuration, on the same machine. ${settings.rounds} rounds of ${settings.seconds} s each, in turns, over ${settings.connections} connections, distributed over the instances; medians of the rounds. pgbench runs the same statement, with rows that the server generates, over as many connections as one instance uses for it, and single messages over ${settings.connections}.`,
    '![Messages a second](postgres.svg)',
    markdown([
      [
        '',
        'Messages per second',
        'Relative to the floor',
        'p50',
        'p99',
        'µs per message, service',
        'µs per message, PostgreSQL',
        'Counted after',
      ],
      ...standings.map((standing) => [
        standing.title,
        whole(standing.rate),
        cell(standing.ofFloor),
        cell(standing.p50Ms, ' ms'),
        cell(standing.p99Ms, ' ms'),
        perMessage(standing.serverCpu, standing.rate),
        perMessage(standing.databaseCpu, standing.rate),
        standing.countedAfterMs === undefined ? '' : `${whole(standing.countedAfterMs)} ms`,
      ]),
    ]),
    wrong.length === 0 ? 'Check passed: every 200 is a row.' : `**${wrong.join('; ')}**`,
  ].join('\n\n')
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

function postgresReadsSection(found: ReadsResults): string {
  return [
    '## Reads on PostgreSQL',
    measuredOn(found.date, found.machine),
    `${found.server} with its default configuration, on the same machine; one instance. The same messages and queries.`,
    readsTable(found),
    ...exportsTable(found),
  ].join('\n\n')
}

function readsSection(found: ReadsResults): string {
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
  writeFileSync(new URL('reads.svg', docs), chart)
  return [
    '## Reads',
    measuredOn(date, machine),
    `Measured over HTTP, sizes in turns; medians of up to ${Math.max(...queries.flatMap(({ timings }) => timings.map(({ runs }) => runs)))} responses each. The files: ${files.map(({ messages, mebibytes }) => `${whole(messages)} messages in ${whole(mebibytes)} MiB`).join(', ')}.`,
    '![Median latency](reads.svg)',
    readsTable(found),
    ...exportsTable(found),
    ...interferenceTable(found),
    '### Targets',
    barsMarkdown(bars),
  ].join('\n\n')
}

function sourcesSection({ date, machine, settings, rounds, bars }: SourcesResults): string {
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

function feedSection({ date, machine, server, settings, rounds, ...found }: FeedResults): string {
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

function retentionSection({ date, machine, settings, rounds, bars }: RetentionResults): string {
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

function dashboardSection(found: DashboardResults): string {
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

function soakSection({ date, machine, settings, samples, bars }: SoakResults): string {
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
  writeFileSync(new URL('soak.svg', docs), chart)
  return [
    '## Soak',
    measuredOn(date, machine),
    `${settings.minutes} minutes at ${whole(settings.rate)} messages a second over ${settings.connections} connections, with concurrent pages, searches and statistics, sampled every ${settings.every} s. Compares the medians of the first third, after a minute of warm-up, and of the last third.`,
    '![Memory, descriptors and latencies over time](soak.svg)',
    barsMarkdown(bars),
  ].join('\n\n')
}

/** Reads the results of a benchmark; undefined if there are none. */
function read(name: string): string | undefined {
  const file = new URL(name, results)
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

const ingest = read('ingest.json')
const postgres = read('postgres.json')
const reads = read('reads.json')
const postgresReads = read('reads-postgres.json')
const soak = read('soak.json')
const imports = read('import.json')
const sources = read('sources.json')
const feed = read('feed.json')
const retention = read('retention.json')
const dashboard = read('dashboard.json')
const sections = [
  ...(ingest === undefined ? [] : [ingestSection(JSON.parse(ingest))]),
  ...(imports === undefined ? [] : [importSection(JSON.parse(imports))]),
  ...(sources === undefined ? [] : [sourcesSection(JSON.parse(sources))]),
  ...(feed === undefined ? [] : [feedSection(JSON.parse(feed))]),
  ...(retention === undefined ? [] : [retentionSection(JSON.parse(retention))]),
  ...(postgres === undefined ? [] : [postgresSection(JSON.parse(postgres))]),
  ...(reads === undefined ? [] : [readsSection(JSON.parse(reads))]),
  ...(postgresReads === undefined ? [] : [postgresReadsSection(JSON.parse(postgresReads))]),
  ...(dashboard === undefined ? [] : [dashboardSection(JSON.parse(dashboard))]),
  ...(soak === undefined ? [] : [soakSection(JSON.parse(soak))]),
]
const before = readFileSync(page, 'utf8')
const begin = before.indexOf(BEGIN)
const end = before.indexOf(END)
if (begin < 0 || end < begin) throw new Error(`docs/benchmarks.md needs ${BEGIN} and then ${END}`)
writeFileSync(
  page,
  `${before.slice(0, begin + BEGIN.length)}\n\n${sections.join('\n\n')}\n\n${before.slice(end)}`,
)
