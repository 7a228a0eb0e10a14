import type { Bar } from './figures.ts'
import { type Machine, machineLine } from './machine.ts'

/** A table, the first column to the left and the others to the right. */
export function markdown(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(head),
    line(head.map((_, at) => (at === 0 ? '---' : '---:'))),
    ...body.map(line),
  ].join('\n')
}

/** The bars as a table. */
export function barsIn(bars: readonly Bar[]): string {
  return markdown([
    ['Promised', 'Expected', 'Found', ''],
    ...bars.map(({ what, expected, found, pass }) => [
      what,
      expected,
      found,
      pass ? 'pass' : '**fail**',
    ]),
  ])
}

/** When and on what figures were measured. */
export function measuredOn(date: string, machine: Machine): string {
  return `Measured on ${date}: ${machineLine(machine)}.`
}
