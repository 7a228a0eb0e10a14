import uPlot from 'uplot'
import { formatCount } from './parts.js'
import { formatTime, utc } from './time.js'

/** Height of the chart in pixels. */
const HEIGHT = 220

/** Pixels below which dragging selects nothing. */
const MIN_DRAG = 4

/** @param {string} name */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name)

/**
 * Returns the labels of times, with only the part that differs between them.
 * @param {number[]} seconds
 * @param {number} step seconds between two labels
 */
function labels(seconds, step) {
  const [from, to] = step >= 86_400 ? [0, 10] : step >= 60 ? [11, 16] : [11, 19]
  return seconds.map((second, index) => {
    const text = formatTime(new Date(second * 1000))
    const isNewDay = step < 86_400 && (index === 0 || text.slice(11, 16) === '00:00')
    return text.slice(from, to) + (isNewDay ? `\n${text.slice(0, 10)}` : '')
  })
}

/** @returns {uPlot.Axis[]} */
function axes() {
  const axis = {
    stroke: () => color('--quiet'),
    font: '12px system-ui',
    ticks: { show: false },
  }
  return [
    {
      ...axis,
      grid: { show: false },
      space: 90,
      size: 40,
      values: (_plot, splits, _index, _space, step) => labels(splits, step),
    },
    {
      ...axis,
      grid: { stroke: () => color('--line'), width: 1 },
      size: 62,
      values: (_plot, splits) =>
        splits.map((split) => (Number.isInteger(split) ? formatCount(split) : '')),
    },
  ]
}

/**
 * Bars that begin at the start of their bucket.
 * @param {number} buckets
 * @returns {uPlot.Series}
 */
function bars(buckets) {
  const paths = uPlot.paths.bars?.({ size: [1, 60], align: 1, gap: buckets > 400 ? 0 : 1 })
  return {
    fill: () => color('--bar'),
    width: 0,
    points: { show: false },
    ...(paths && { paths }),
  }
}

/**
 * Draws counts over time as bars into an element, until the returned function is called.
 * @param {HTMLElement} element
 * @param {{ start: string, count: number }[]} buckets
 * @param {number} seconds length of a bucket
 * @param {(since: Date, until: Date) => void} onZoom called with the range that is selected by dragging
 */
export function drawChart(element, buckets, seconds, onZoom) {
  const starts = buckets.map(({ start }) => Date.parse(start) / 1000)
  const counts = buckets.map(({ count }) => count)
  const readout = document.createElement('div')
  readout.className = 'readout'

  /** @param {uPlot} plot */
  function zoom({ select, posToVal, setSelect }) {
    if (select.width < MIN_DRAG) return
    const [since, until] = [select.left, select.left + select.width].map((at) => posToVal(at, 'x'))
    setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
    onZoom(new Date((since ?? 0) * 1000), new Date((until ?? 0) * 1000))
  }
  /** @param {uPlot} plot */
  function showPointed({ cursor: { left = -1 }, posToVal }) {
    const index = left < 0 ? -1 : starts.findLastIndex((start) => start <= posToVal(left, 'x'))
    const bucket = buckets[index]
    readout.textContent = bucket
      ? `${formatTime(new Date(bucket.start)).slice(0, 16)}   ${formatCount(bucket.count)}`
      : ''
  }

  const plot = new uPlot(
    {
      width: element.clientWidth,
      height: HEIGHT,
      padding: [8, 12, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false } },
      legend: { show: false },
      ...(utc.peek() && {
        tzDate: (second) => uPlot.tzDate(new Date(second * 1000), 'Etc/UTC'),
      }),
      scales: {
        x: { range: [starts[0] ?? 0, (starts.at(-1) ?? 0) + seconds] },
        y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.08)] },
      },
      axes: axes(),
      series: [{}, bars(buckets.length)],
      hooks: { setSelect: [zoom], setCursor: [showPointed] },
    },
    [starts, counts],
    element,
  )
  element.append(readout)
  return keepCurrent(plot, element)
}

/**
 * Redraws a chart when the colors or the width change.
 * @param {uPlot} plot
 * @param {HTMLElement} element
 * @returns a function that removes the chart
 */
function keepCurrent(plot, element) {
  const scheme = matchMedia('(prefers-color-scheme: dark)')
  const redraw = () => plot.redraw(false)
  scheme.addEventListener('change', redraw)
  const observer = new ResizeObserver(() =>
    plot.setSize({ width: element.clientWidth, height: HEIGHT }),
  )
  observer.observe(element)
  return () => {
    observer.disconnect()
    scheme.removeEventListener('change', redraw)
    plot.destroy()
    element.replaceChildren()
  }
}
