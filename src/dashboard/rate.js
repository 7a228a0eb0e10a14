import { html } from 'htm/preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { address, linkTo, updateQuery } from './address.js'
import { get } from './api.js'
import { useLoad } from './load.js'
import { countOf, ErrorNote, formatCount } from './parts.js'
import { BUCKET_MS, bucketOf, changeRange, MAX_BUCKETS, RANGES, readRange } from './range.js'
import { formatTime, Time, utc, zone } from './time.js'

/** @typedef {{ start: string, count: number }} Bucket */

/**
 * Reads the timeline of a range, in as many requests as its buckets need.
 * @param {{ since: Date, until: Date }} range
 * @param {AbortSignal} signal
 */
async function loadTimeline({ since, until }, signal) {
  const bucket = bucketOf({ since, until })
  // One less, as the first bucket begins before `since`.
  const step = (MAX_BUCKETS - 2) * BUCKET_MS[bucket]
  /** @type {Map<string, Bucket>} */
  const buckets = new Map()
  for (let start = since.getTime(); start < until.getTime(); start += step) {
    const end = Math.min(start + step, until.getTime())
    /** @type {import('./types.d.ts').Timeline} */
    const { data } = await get(
      '/stats/timeline',
      {
        since: new Date(start).toISOString(),
        until: new Date(end).toISOString(),
        bucket,
        tz: zone(),
      },
      signal,
    )
    // The bucket between two requests is in both, each with the messages of its own range.
    for (const one of data) {
      buckets.set(one.start, {
        start: one.start,
        count: one.count + (buckets.get(one.start)?.count ?? 0),
      })
    }
  }
  return { bucket, buckets: [...buckets.values()] }
}

/** @param {{ buckets: Bucket[], bucket: keyof typeof BUCKET_MS, label: string }} props */
function Chart({ buckets, bucket, label }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null))
  useEffect(() => {
    let stop = () => {}
    let isGone = false
    import('./chart.js').then(({ drawChart }) => {
      if (isGone || !element.current) return
      stop = drawChart(element.current, buckets, BUCKET_MS[bucket] / 1000, (since, until) => {
        const zoomed = { since, until }
        if (until.getTime() - since.getTime() >= BUCKET_MS.minute)
          updateQuery(changeRange(zoomed, 1, 0))
      })
    })
    return () => {
      isGone = true
      stop()
    }
  }, [buckets, utc.value])
  return html`<div class="chart" ref=${element} role="img" aria-label=${label}></div>`
}

/** The counts as a table, which is rendered only while it is open. @param {{ buckets: Bucket[], bucket: string }} props */
function Table({ buckets, bucket }) {
  const [isOpen, setOpen] = useState(false)
  const filled = buckets.filter(({ count }) => count > 0)
  return html`<details class="quiet" onToggle=${(/** @type {{ currentTarget: HTMLDetailsElement }} */ event) => setOpen(event.currentTarget.open)}>
    <summary>Table</summary>
    ${
      isOpen &&
      html`<table>
      <thead><tr><th>Start of the ${bucket}</th><th class="number">Messages</th></tr></thead>
      <tbody>${filled.map(({ start, count }) => html`<tr><td><${Time} at=${start} /></td><td class="number">${formatCount(count)}</td></tr>`)}</tbody>
    </table>`
    }
  </details>`
}

/** The rate of messages over the time range of the address. */
export function Rate() {
  const { query } = address.value
  const [now, setNow] = useState(() => new Date())
  const range = readRange(query, now)
  const key = `${range.name}${range.name ? '' : `${range.since.toISOString()} ${range.until.toISOString()}`} ${zone()}`
  const { value, error, retry, isLoading } = useLoad(
    `timeline ${key}`,
    async (signal) => {
      const current = readRange(query, new Date())
      const found = await loadTimeline(current, signal)
      setNow(new Date())
      return found
    },
    range.name ? 60_000 : undefined,
  )
  const buckets = value?.buckets ?? []
  const total = buckets.reduce((sum, { count }) => sum + count, 0)
  const messages = linkTo('/messages', {
    since: range.since.toISOString(),
    until: range.until.toISOString(),
  })
  const times = [range.since, range.until].map((date) => formatTime(date).slice(0, 16))
  const change = (/** @type {number} */ factor, /** @type {number} */ shift) => () =>
    updateQuery(changeRange(range, factor, shift))
  return html`<section class="panel" aria-label="Rate">
    <div class="actions">
      <h2>Messages per ${value?.bucket ?? bucketOf(range)}</h2>
      <nav class="ranges" aria-label="Time range">
        ${[...RANGES.keys()].map((name) => html`<a href=${linkTo('/', { range: name })} aria-current=${name === range.name ? 'true' : undefined}>${name}</a>`)}
      </nav>
      <button type="button" aria-label="Earlier" title="Earlier" onClick=${change(1, -0.5)}>←</button>
      <button type="button" aria-label="Later" title="Later" onClick=${change(1, 0.5)}>→</button>
      <button type="button" aria-label="Zoom in" title="Zoom in, or drag over the chart" onClick=${change(0.5, 0)}>+</button>
      <button type="button" aria-label="Zoom out" title="Zoom out" onClick=${change(2, 0)}>−</button>
    </div>
    <${ErrorNote} error=${error} retry=${retry} />
    ${
      value
        ? html`<${Chart} buckets=${buckets} bucket=${value.bucket} label="${countOf(total, 'message')} from ${times[0]} to ${times[1]}, by ${value.bucket}" />`
        : html`<div class="chart" aria-busy=${isLoading}></div>`
    }
    <div class="actions">
      <span class="quiet">${times[0]} – ${times[1]}</span>
      <a href=${messages}>${countOf(total, 'message')}</a>
      ${value && html`<${Table} buckets=${buckets} bucket=${value.bucket} />`}
    </div>
  </section>`
}
