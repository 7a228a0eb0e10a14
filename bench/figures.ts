/** The value that this share of the values does not exceed; NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

/** The middle of the values, between the two middle ones of an even number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort()
  const low = sorted[(sorted.length - 1) >> 1] ?? Number.NaN
  const high = sorted[sorted.length >> 1] ?? Number.NaN
  return (low + high) / 2
}

/** A promise of the project, and whether this run kept it. */
export interface Bar {
  what: string
  /** In words, such as `at most 2×`. */
  expected: string
  found: string
  pass: boolean
}

/** Lines up the cells of a table for a terminal, the first column to the left and the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  )
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** The bars as a table for a terminal. */
export function barTable(bars: readonly Bar[]): string {
  return table([
    ['bar', 'expected', 'found', ''],
    ...bars.map(({ what, expected, found, pass }) => [
      what,
      expected,
      found,
      pass ? 'pass' : 'FAIL',
    ]),
  ])
}

/** A number with thousands told apart. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}
