import { html } from 'htm/preact'
import { linkTo } from './address.js'
import { get } from './api.js'
import { FirstMessage } from './first-message.js'
import { useLoad } from './load.js'
import { countOf, ErrorNote, formatCount } from './parts.js'
import { Rate } from './rate.js'
import { RejectedRows } from './rejected.js'
import { startOfDay, Time, zone } from './time.js'

/** Milliseconds between two loads of a panel. */
const REFRESH_MS = 15_000

/** Rejected bodies that are shown. */
const REJECTED = 5

/** Senders that are shown. */
const SENDERS = 10

/**
 * Counts the messages of a time range.
 * @param {Date} since
 * @param {Date} until
 * @param {AbortSignal} signal
 * @returns {Promise<number>}
 */
async function countMessages(since, until, signal) {
  const range = { since: since.toISOString(), until: until.toISOString() }
  return (await get('/messages', { ...range, limit: 1 }, signal)).total
}

/** Messages of today until now, and of the same day last week until the same time and in all. */
function Today() {
  const { value, error, retry } = useLoad(
    `today ${zone()}`,
    async (signal) => {
      const now = new Date()
      const today = startOfDay(now)
      const before = startOfDay(now, -7)
      const sameTime = new Date(before.getTime() + now.getTime() - today.getTime())
      const [count, countBefore, all] = await Promise.all([
        countMessages(today, now, signal),
        countMessages(before, sameTime, signal),
        countMessages(before, startOfDay(now, -6), signal),
      ])
      return { count, countBefore, all }
    },
    REFRESH_MS,
  )
  if (!value)
    return html`<section class="panel"><h2>Today</h2><${ErrorNote} error=${error} retry=${retry} /></section>`
  const { count, countBefore, all } = value
  const change = countBefore === 0 ? undefined : Math.round((count / countBefore - 1) * 100)
  return html`<section class="panel">
    <h2>Today</h2>
    <p class="figure">${formatCount(count)}${change !== undefined && html` <small>${change < 0 ? '−' : '+'}${Math.abs(change)} %</small>`}</p>
    <p class="quiet">${formatCount(countBefore)} until this time a week ago, ${formatCount(all)} on that day</p>
  </section>`
}

/** @param {{ stats: import('./types.d.ts').Stats }} props */
function Total({ stats }) {
  return html`<section class="panel">
    <h2>Total</h2>
    <p class="figure">${formatCount(stats.total_messages)}</p>
    <p class="quiet">from ${countOf(stats.senders_count, 'sender')}${stats.last_message_ts && html`, last sent <${Time} at=${stats.last_message_ts} />`}</p>
  </section>`
}

/** The sources, the backlog and whether the service is ready. */
function Service() {
  const status = useLoad('status', (signal) => get('/status', {}, signal), REFRESH_MS)
  const readiness = useLoad('ready', (signal) => get('/health/ready', {}, signal), REFRESH_MS)
  /** @type {import('./types.d.ts').Status | undefined} */
  const value = status.value
  return html`<section class="panel">
    <h2>Service</h2>
    ${
      readiness.error
        ? html`<${ErrorNote} error=${new Error(`Not ready. ${readiness.error.message}`)} />`
        : html`<p class="figure">${readiness.value ? 'Ready' : ' '}</p>`
    }
    <${ErrorNote} error=${status.error} retry=${status.retry} />
    ${
      value &&
      html`
      <p class="quiet">backlog ${formatCount(value.backlog_messages)}, version ${value.version}, started <${Time} at=${value.started_at} /></p>
      <ul class="sources" aria-label="Sources">
        ${value.sources.map(({ name, path }) => html`<li><a href=${linkTo('/messages', { source: name })}>${name}</a> <code>POST ${path}</code></li>`)}
        ${value.sources.length === 0 && html`<li>No source is configured. Set <code>WEBHOOK_SECRET</code>.</li>`}
      </ul>`
    }
  </section>`
}

/** The senders with the most messages. */
function Senders() {
  const { value, error, retry } = useLoad(
    'senders',
    (signal) => get('/senders', { limit: SENDERS }, signal),
    REFRESH_MS,
  )
  /** @type {import('./types.d.ts').Sender[]} */
  const senders = value?.data ?? []
  const most = senders[0]?.count ?? 1
  return html`<section class="panel">
    <h2>Busiest senders</h2>
    <${ErrorNote} error=${error} retry=${retry} />
    <table class="senders">
      <thead hidden=${senders.length === 0}><tr><th>Sender</th><th class="number">Messages</th><th class="share"><span class="visually-hidden">Share</span></th><th class="instant first">First sent</th><th class="instant">Last sent</th></tr></thead>
      <tbody>${senders.map(
        ({ from, count, first_message_ts, last_message_ts }) => html`<tr key=${from}>
        <td><a href=${linkTo('/messages', { from })}><bdi>${from}</bdi></a></td>
        <td class="number">${formatCount(count)}</td>
        <td class="share"><meter min="0" max=${most} value=${count} aria-label="of the busiest sender"></meter></td>
        <td class="instant first">${first_message_ts && html`<${Time} at=${first_message_ts} />`}</td>
        <td class="instant">${last_message_ts && html`<${Time} at=${last_message_ts} />`}</td>
      </tr>`,
      )}</tbody>
    </table>
  </section>`
}

function Rejections() {
  const { value, error, retry } = useLoad(
    'rejections',
    (signal) => get('/rejected', { limit: REJECTED }, signal),
    REFRESH_MS,
  )
  /** @type {import('./types.d.ts').RejectedPage['data'] | undefined} */
  const bodies = value?.data
  return html`<section class="panel">
    <div class="actions"><h2>Rejected</h2> <a href=${linkTo('/rejected')}>all</a></div>
    <${ErrorNote} error=${error} retry=${retry} />
    ${bodies && (bodies.length > 0 ? html`<${RejectedRows} bodies=${bodies} />` : html`<p class="quiet">Nothing was rejected.</p>`)}
  </section>`
}

/** What arrives, and how the service is. */
export function OverviewScreen() {
  const { value, error, retry } = useLoad(
    'stats',
    (signal) => get('/stats', {}, signal),
    REFRESH_MS,
  )
  /** @type {import('./types.d.ts').Stats | undefined} */
  const stats = value
  return html`<h1 class="visually-hidden" tabindex="-1">Overview</h1>
    <${ErrorNote} error=${error} retry=${retry} />
    ${stats?.total_messages === 0 && html`<${FirstMessage} />`}
    <div class="panels">
      <div class="figures"><${Today} />${stats ? html`<${Total} stats=${stats} />` : html`<section class="panel"></section>`}<${Service} /></div>
      <${Rate} />
      <div class="columns"><${Senders} /><${Rejections} /></div>
    </div>`
}
