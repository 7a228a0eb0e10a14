import * as echarts from 'echarts'

/** Colours that are legible on a light and on a dark background. */
const INK = '#768390'
const GRID = '#76839055'
const SERIES = ['#2da44e', '#218bff', '#a475f9', '#e85aad']
const LIMIT = '#fa4549'

const WIDTH = 800
const ROW = 34
const HEAD = 70
const FOOT = 40

const label = { color: INK, fontSize: 13 }

/**
 * Renders an SVG without a browser.
 * Source: https://echarts.apache.org/handbook/en/how-to/cross-platform/server
 */
function render(title: string, height: number, option: echarts.EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  chart.setOption({
    animation: false,
    color: SERIES,
    textStyle: { fontFamily: 'system-ui, sans-serif', color: INK },
    title: { text: title, left: 0, textStyle: { color: INK, fontSize: 14 } },
    ...option,
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return `${svg}\n`
}

function categories(names: readonly string[]): echarts.YAXisComponentOption {
  return {
    type: 'category',
    data: [...names],
    inverse: true,
    axisLabel: { ...label, interval: 0 },
    axisLine: { show: false },
    axisTick: { show: false },
  }
}

/** The width for labels is fixed, as text widths are only estimated without a browser. */
const grid = { left: 300, right: 50, top: HEAD, bottom: FOOT }

/** A bar: the median of the rounds, and the value of each round. */
export interface BarRow {
  label: string
  value: number
  rounds: number[]
}

/** Draws medians as bars, rounds as dots, and targets as dashed lines. @returns an SVG document. */
export function barChart(
  title: string,
  rows: readonly BarRow[],
  targets: readonly { label: string; value: number }[],
): string {
  return render(title, HEAD + rows.length * ROW + FOOT, {
    grid,
    xAxis: { type: 'value', axisLabel: label, splitLine: { lineStyle: { color: GRID } } },
    yAxis: categories(
      rows.map((row) => `${row.label}: ${Math.round(row.value).toLocaleString('en-US')}/s`),
    ),
    series: [
      {
        type: 'bar',
        barWidth: 18,
        color: SERIES[1] ?? INK,
        data: rows.map(({ value }) => value),
        markLine: {
          symbol: 'none',
          silent: true,
          lineStyle: { color: LIMIT, type: 'dashed' },
          label: { color: INK, formatter: '{b}', position: 'start' },
          data: targets.map((target) => ({ name: target.label, xAxis: target.value })),
        },
      },
      {
        type: 'scatter',
        symbolSize: 6,
        color: SERIES[2] ?? INK,
        data: rows.flatMap(({ rounds }, row) => rounds.map((value) => [value, row])),
      },
    ],
  })
}

/** A quantity over time. */
export interface TimeSeries {
  label: string
  unit: string
  values: readonly number[]
}

/** Draws each series in a panel of its own, on a scale that begins at 0. @returns an SVG document. */
export function timeChart(
  title: string,
  seconds: readonly number[],
  series: readonly TimeSeries[],
): string {
  const panel = 110
  const end = Math.max(...seconds) / 60
  return render(title, HEAD + series.length * panel, {
    grid: series.map((_, at) => ({ left: 60, right: 40, top: HEAD + at * panel, height: 60 })),
    xAxis: series.map((_, at) => ({
      type: 'value',
      gridIndex: at,
      max: end,
      axisLabel: { ...label, formatter: '{value} min', showMaxLabel: false },
      splitLine: { show: false },
    })),
    yAxis: series.map((one, at) => ({
      type: 'value',
      gridIndex: at,
      name: one.unit === '' ? one.label : `${one.label}, ${one.unit}`,
      nameTextStyle: { ...label, align: 'left' },
      splitNumber: 2,
      axisLabel: label,
      splitLine: { lineStyle: { color: GRID } },
    })),
    series: series.map(({ values }, at) => ({
      type: 'line',
      xAxisIndex: at,
      yAxisIndex: at,
      showSymbol: false,
      lineStyle: { width: 1.5 },
      data: values.map((value, index) => [(seconds[index] ?? 0) / 60, value]),
    })),
  })
}

/** A row of dots: one value for each series. */
export interface DotRow {
  label: string
  values: readonly number[]
}

/** Draws a dot for each series on a logarithmic scale of milliseconds. @returns an SVG document. */
export function dotChart(title: string, names: readonly string[], rows: readonly DotRow[]): string {
  return render(title, HEAD + rows.length * ROW + FOOT, {
    grid,
    legend: { top: 30, left: 0, itemGap: 30, textStyle: label, data: [...names] },
    xAxis: {
      type: 'log',
      axisLabel: {
        ...label,
        formatter: (value: number) => (value >= 1000 ? `${value / 1000} s` : `${value} ms`),
      },
      splitLine: { lineStyle: { color: GRID } },
    },
    yAxis: {
      ...categories(rows.map((row) => row.label)),
      splitLine: { show: true, lineStyle: { color: GRID } },
    },
    series: names.map((name, at) => ({
      name,
      type: 'scatter',
      symbolSize: 11,
      data: rows.map(({ values }, row) => [values[at] ?? null, row]),
    })),
  })
}
