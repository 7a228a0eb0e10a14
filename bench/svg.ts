/** Colours for light and dark pages; a picture in a page follows the reader's choice by itself. */
const STYLE = `
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .quiet { fill: #59636e }
    .grid { stroke: #d1d9e0 }
    .bar { fill: #54aeff }
    .dot { fill: #0550ae }
    .limit { stroke: #cf222e; stroke-dasharray: 5 4 }
    .size0 { fill: #1a7f37 } .size1 { fill: #0969da } .size2 { fill: #8250df } .size3 { fill: #bf3989 }
    polyline { fill: none; stroke-width: 1.5 }
    .line0 { stroke: #1a7f37 } .line1 { stroke: #0969da } .line2 { stroke: #8250df } .line3 { stroke: #bf3989 }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc }
      .quiet { fill: #9198a1 }
      .grid { stroke: #3d444d }
      .bar { fill: #1f6feb }
      .dot { fill: #a5d6ff }
      .limit { stroke: #f85149 }
      .size0 { fill: #3fb950 } .size1 { fill: #4493f8 } .size2 { fill: #ab7df8 } .size3 { fill: #db61a2 }
    }`

const WIDTH = 800
const LABELS = 300
const RIGHT = 60
const ROW = 34
const TOP = 50
const BOTTOM = 40

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `  <text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escapeXml(content)}</text>`
}

function picture(title: string, rows: number, content: string[]): string {
  const height = TOP + rows * ROW + BOTTOM
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `  <title>${escapeXml(title)}</title>`,
    `  <style>${STYLE}\n  </style>`,
    text(10, 24, title, 'font-weight="600"'),
    ...content,
    '</svg>\n',
  ].join('\n')
}

/** A scale from values to places on the picture, and where its lines are. */
interface Scale {
  place: (value: number) => number
  lines: number[]
}

function linear(most: number): Scale {
  const step =
    10 ** Math.floor(Math.log10(most)) * (most / 10 ** Math.floor(Math.log10(most)) > 4 ? 1 : 0.5)
  const end = Math.ceil(most / step) * step
  return {
    place: (value) => LABELS + (value / end) * (WIDTH - LABELS - RIGHT),
    lines: Array.from({ length: Math.round(end / step) + 1 }, (_, at) => at * step),
  }
}

function logarithmic(least: number, most: number): Scale {
  const first = Math.floor(Math.log10(least))
  const last = Math.ceil(Math.log10(most))
  return {
    place: (value) =>
      LABELS + ((Math.log10(value) - first) / (last - first)) * (WIDTH - LABELS - RIGHT),
    lines: Array.from({ length: last - first + 1 }, (_, at) => 10 ** (first + at)),
  }
}

function grid({ place, lines }: Scale, rows: number, label: (value: number) => string): string[] {
  const bottom = TOP + rows * ROW
  return lines.flatMap((value) => [
    `  <line class="grid" x1="${place(value).toFixed(1)}" x2="${place(value).toFixed(1)}" y1="${TOP}" y2="${bottom}"/>`,
    text(place(value), bottom + 20, label(value), 'class="quiet" text-anchor="middle"'),
  ])
}

/** A bar with its median, and a dot for each round. */
export interface BarRow {
  label: string
  value: number
  rounds: number[]
}

/** Bars of medians with dots of rounds, and lines for what is to be reached. */
export function barPicture(
  title: string,
  rows: readonly BarRow[],
  limits: readonly { label: string; value: number }[],
): string {
  const scale = linear(Math.max(...rows.flatMap(({ value, rounds }) => [value, ...rounds])))
  const bottom = TOP + rows.length * ROW
  const whole = (value: number) => Math.round(value).toLocaleString('en-US')
  const bars = rows.flatMap(({ label, value, rounds }, at) => {
    const y = TOP + at * ROW + ROW / 2
    const width = scale.place(value) - LABELS
    return [
      text(LABELS - 10, y + 4, `${label}: ${whole(value)}/s`, 'text-anchor="end"'),
      `  <rect class="bar" x="${LABELS}" y="${y - 9}" width="${width.toFixed(1)}" height="18" rx="3"/>`,
      ...rounds.map(
        (round) => `  <circle class="dot" cx="${scale.place(round).toFixed(1)}" cy="${y}" r="3"/>`,
      ),
    ]
  })
  const lines = limits.flatMap(({ label, value }) => [
    `  <line class="limit" x1="${scale.place(value).toFixed(1)}" x2="${scale.place(value).toFixed(1)}" y1="${TOP}" y2="${bottom}"/>`,
    text(scale.place(value), TOP - 6, label, 'class="quiet" text-anchor="middle"'),
  ])
  return picture(title, rows.length, [...grid(scale, rows.length, whole), ...bars, ...lines])
}

/** How something went over time: a line for each series, each on a scale of its own that begins at nothing. */
export function timePicture(
  title: string,
  seconds: readonly number[],
  series: readonly { label: string; unit: string; values: readonly number[] }[],
): string {
  const end = Math.max(...seconds)
  const place = (second: number) => LABELS + (second / end) * (WIDTH - LABELS - RIGHT)
  const height = 2 * ROW
  const lines = series.flatMap(({ label, unit, values }, number) => {
    const bottom = TOP + (number + 1) * height - 10
    const most = Math.max(...values)
    const points = values.map((value, at) => {
      const y = bottom - (value / most) * (height - 20)
      return `${place(seconds[at] ?? 0).toFixed(1)},${y.toFixed(1)}`
    })
    const shown = most < 10 ? most.toFixed(1) : Math.round(most).toLocaleString('en-US')
    return [
      `  <line class="grid" x1="${LABELS}" x2="${WIDTH - RIGHT}" y1="${bottom}" y2="${bottom}"/>`,
      text(LABELS - 10, bottom - height / 2 + 8, label, 'text-anchor="end"'),
      text(
        LABELS - 10,
        bottom - height / 2 + 24,
        `at most ${shown} ${unit}`,
        'class="quiet" text-anchor="end"',
      ),
      `  <polyline class="line${number}" points="${points.join(' ')}"/>`,
    ]
  })
  const rows = 2 * series.length
  const bottom = TOP + rows * ROW
  const minutes = Array.from({ length: 5 }, (_, at) => (end / 4) * at)
  return picture(title, rows, [
    ...lines,
    ...minutes.map((second) =>
      text(
        place(second),
        bottom + 20,
        `${(second / 60).toFixed(1)} min`,
        'class="quiet" text-anchor="middle"',
      ),
    ),
  ])
}

/** A dot for each series on a logarithmic scale of milliseconds. */
export function dotPicture(
  title: string,
  series: readonly string[],
  rows: readonly { label: string; values: readonly number[] }[],
): string {
  const all = rows.flatMap(({ values }) => values)
  const scale = logarithmic(Math.min(...all), Math.max(...all))
  const milliseconds = (value: number) => (value >= 1000 ? `${value / 1000} s` : `${value} ms`)
  const dots = rows.flatMap(({ label, values }, at) => {
    const y = TOP + at * ROW + ROW / 2
    return [
      text(LABELS - 10, y + 4, label, 'text-anchor="end"'),
      ...values.map(
        (value, number) =>
          `  <circle class="size${number}" cx="${scale.place(value).toFixed(1)}" cy="${y}" r="5.5"/>`,
      ),
    ]
  })
  const legend = series.flatMap((name, number) => [
    `  <circle class="size${number}" cx="${WIDTH - RIGHT - 160 * (series.length - number)}" cy="20" r="5.5"/>`,
    text(WIDTH - RIGHT - 160 * (series.length - number) + 10, 24, name, 'class="quiet"'),
  ])
  return picture(title, rows.length, [
    ...grid(scale, rows.length, milliseconds),
    ...dots,
    ...legend,
  ])
}
