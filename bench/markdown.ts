import { writeFileSync } from 'node:fs'
import type { Bar } from './figures.ts'
import { type Machine, machineLine } from './machine.ts'

/** Formats a Markdown table, with the first column aligned left and the others right. */
export function markdown(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(head),
    line(head.map((_, at) => (at === 0 ? '---' : '---:'))),
    ...body.map(line),
  ].join('\n')
}

/** Formats the targets and results as a Markdown table. */
export function barsMarkdown(bars: readonly Bar[]): string {
  return markdown([
    ['Target', 'Expected', 'Measured', ''],
    ...bars.map(({ what, expected, found, pass }) => [
      what,
      expected,
      found,
      pass ? 'pass' : '**fail**',
    ]),
  ])
}

/** Formats the date and the machine of a measurement. */
export function measuredOn(date: string, machine: Machine): string {
  return `Measured on ${date}: ${machineLine(machine)}.`
}

/** Writes a chart into docs/. Returns the Markdown that shows it. */
export function writeChart(file: string, title: string, svg: string): string {
  writeFileSync(new URL(`../docs/${file}`, import.meta.url), svg)
  return `![${title}](${file})`
}
