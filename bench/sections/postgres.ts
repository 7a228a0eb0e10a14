import { barChart } from '../charts.ts'
import { whole } from '../figures.ts'
import { markdown, measuredOn, writeChart } from '../markdown.ts'
import type { PostgresResults } from '../postgres.ts'

/** Builds the section on ingest on PostgreSQL, with its chart. */
export function postgresSection(found: PostgresResults): string {
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
  const cell = (value: number | undefined, unit = '') =>
    value === undefined ? '' : `${value.toFixed(2)}${unit}`
  const perMessage = (cores: number | undefined, rate: number) =>
    cores === undefined ? '' : whole((cores / rate) * 1e6)
  return [
    '## PostgreSQL',
    measuredOn(date, machine),
    `${server} with its default configuration, on the same machine. ${settings.rounds} rounds of ${settings.seconds} s each, in turns, over ${settings.connections} connections, distributed over the instances; medians of the rounds. pgbench runs the same statement, with rows that the server generates, over as many connections as one instance uses for it, and single messages over ${settings.connections}.`,
    writeChart('postgres.svg', 'Messages a second', chart),
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
