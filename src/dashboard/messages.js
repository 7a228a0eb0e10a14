import { html } from 'htm/preact'
import { address, updateQuery } from './address.js'
import { get } from './api.js'
import { ExportButtons } from './export.js'
import { Filters, readFilters } from './filters.js'
import { FirstMessage } from './first-message.js'
import { countRows, useList } from './list.js'
import { LiveButton, NewMessages } from './live.js'
import { useLoad } from './load.js'
import { countOf, ErrorNote, formatCount } from './parts.js'
import { End, Rows } from './rows.js'

/**
 * The number of messages that match.
 * @param {{ list: import('./list.js').List }} props
 */
function Total({ list: { key, total } }) {
  let text = '…'
  if (key === '') text = ' '
  else if (total === null) text = 'Count not available'
  else if (total !== undefined) text = countOf(total, 'message')
  return html`<output class="total">${text}</output>`
}

/**
 * How much of the list is loaded.
 * @param {{ rows: number, total: number | null | undefined, isLoading: boolean }} props
 */
function Progress({ rows, total, isLoading }) {
  const all = typeof total === 'number' ? ` of ${formatCount(total)}` : ''
  return html`<p class="shown">${formatCount(rows)}${all} shown${isLoading ? ', loading …' : ''}</p>`
}

/** The list of messages with its filters. */
export function MessagesScreen() {
  const filters = readFilters()
  const order = address.value.query.get('order') === 'asc' ? 'asc' : 'desc'
  const { list, isCurrent, more, retry, reload } = useList(filters, order)
  const { value: status } = useLoad('status', (signal) => get('/status', {}, signal))
  const sources = (status?.sources ?? []).map((/** @type {{ name: string }} */ { name }) => name)
  const { blocks, total, error, isLoading } = list
  const rows = countRows(blocks)
  const isFiltered = Object.keys(filters).length > 0
  const showNew = () => {
    window.scrollTo(0, 0)
    reload()
  }
  const note = html`<${ErrorNote} error=${error} retry=${retry} />`
  return html`<h1 class="visually-hidden" tabindex="-1">Messages</h1>
    <div class="toolbar">
      <${Filters} sources=${sources} />
      <div class="actions">
        <${Total} list=${list} />
        <button type="button" onClick=${() => updateQuery({ order: order === 'asc' ? undefined : 'asc' })}>
          ${order === 'asc' ? 'Oldest first' : 'Newest first'}
        </button>
        <${LiveButton} />
        <${ExportButtons} filters=${filters} order=${order} isEmpty=${rows === 0} />
      </div>
    </div>
    <${NewMessages} filters=${filters} onShow=${showNew} />
    ${!(rows > 0 && isCurrent) && note}
    ${rows > 0 && html`<${Rows} list=${list} isCurrent=${isCurrent} />`}
    ${rows > 0 && isCurrent && note}
    ${total === 0 && isCurrent && (isFiltered ? html`<p class="empty">No message matches. Remove a filter, or search for another text.</p>` : html`<${FirstMessage} />`)}
    <${End} onVisible=${more} count=${rows} />
    ${rows > 0 && html`<${Progress} rows=${rows} total=${total} isLoading=${isLoading} />`}`
}
