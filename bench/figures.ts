/**
 * Returns a percentile of the values by the nearest-rank method; NaN for no values.
 * @param share 0 to 1, such as 0.99 for p99.
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

/** Returns the median of the values, for an even number the mean of the middle two; NaN for no values. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort()
  const low = sorted[(sorted.length - 1) >> 1] ?? Number.NaN
  const high = sorted[sorted.length >> 1] ?? Number.NaN
  return (low + high) / 2
}

/** A target of the project, and whether this run met it. */
export interface Bar {
  what: string
  /** For people to read, such as `at most 2×`. */
  expected: string
  found: string
  pass: boolean
}

/** Formats a table for a terminal, with the first column aligned left and the others right. */
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

/** Formats the targets and results as a table for a terminal. */
export function barTable(bars: readonly Bar[]): string {
  return table([
    ['target', 'expected', 'measured', ''],
    ...bars.map(({ what, expected, found, pass }) => [
      what,
      expected,
      found,
      pass ? 'pass' : 'FAIL',
    ]),
  ])
}

/** Rounds a number and formats it with thousands separators. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}
