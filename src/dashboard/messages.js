import { html } from 'htm/preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { address, linkTo, savedScroll, updateQuery } from './address.js'
import { get, session } from './api.js'
import { ExportButtons } from './export.js'
import { Filters, readFilters } from './filters.js'
import { LiveButton, NewMessages } from './live.js'
import { useLoad } from './load.js'
import { countOf, ErrorNote, FirstMessage, formatCount, Marked } from './parts.js'
import { Time, utc } from './time.js'

/** Messages of the first page, which is shown at each keystroke, and of the others. */
const FIRST_PAGE = 30
const PAGE = 100

/**
 * The pages of a list, as far as they are loaded.
 * @typedef {{ key: string, search: string, pages: import('./types.d.ts').MessagesPage[], isLoading: boolean, error?: Error | undefined }} List
 */

/** The last list, so that the way back from a message shows it at once. @type {List | undefined} */
let lastList

/**
 * Loads the list of these filters: its first page now, and others on demand.
 * @param {Record<string, string>} filters
 * @param {string} order
 */
function useList(filters, order) {
  const key = JSON.stringify([filters, order, session.value])
  const [list, setList] = useState(
    /** @returns {List} */ () =>
      lastList?.key === key ? lastList : { key: '', search: '', pages: [], isLoading: true },
  )
  const [attempt, setAttempt] = useState(0)
  const controller = useRef(new AbortController())
  const shown = useRef(list)
  const change = (/** @type {Partial<List>} */ part) => {
    lastList = { ...shown.current, ...part }
    shown.current = lastList
    setList(lastList)
  }

  const load = async (/** @type {string | undefined} */ cursor) => {
    const { signal } = controller.current
    change({ isLoading: true, error: undefined })
    const limit = cursor ? PAGE : FIRST_PAGE
    const include = 'source,type'
    try {
      const page = await get('/messages', { ...filters, order, include, limit, cursor }, signal)
      if (signal.aborted) return
      const pages = cursor ? [...shown.current.pages, page] : [page]
      change({ key, search: filters.q ?? '', pages, isLoading: false })
    } catch (error) {
      if (!signal.aborted && error instanceof Error) change({ error, isLoading: false })
    }
  }
  useEffect(() => {
    controller.current = new AbortController()
    if (shown.current.key !== key || attempt > 0) load(undefined)
    else window.scrollTo(0, savedScroll())
    return () => controller.current.abort()
  }, [key, attempt])

  const isCurrent = list.key === key
  const more = () => {
    const { pages, isLoading, error } = shown.current
    const next = pages.at(-1)?.next
    if (isCurrent && next && !isLoading && !error) load(next)
  }
  const retry = () => {
    const next = isCurrent ? shown.current.pages.at(-1)?.next : undefined
    if (next) load(next)
    else setAttempt((count) => count + 1)
  }
  return { list, isCurrent, more, retry, reload: () => setAttempt((count) => count + 1) }
}

/** @param {{ message: import('./types.d.ts').Message, search: string }} props */
function Row({ message, search }) {
  const { message_id, ts, from_msisdn, to_msisdn, source, type, text } = message
  return html`<li class="row">
    <a href=${linkTo(`/messages/${encodeURIComponent(message_id)}`)}>
      <${Time} at=${ts} />
      <span class="parties"><bdi>${from_msisdn}</bdi> <span class="to">→ <bdi>${to_msisdn}</bdi></span></span>
      <span class="kind">${source === 'webhook' ? '' : source} ${type === 'text' ? '' : type}</span>
      <span class="text" dir="auto">
        ${text === null ? html`<em>no text</em>` : html`<${Marked} text=${text} search=${search} />`}
      </span>
    </a>
  </li>`
}

/** The rows of one page, which are rendered once. @param {{ page: import('./types.d.ts').MessagesPage, search: string }} props */
function Rows({ page, search }) {
  return useMemo(
    () =>
      page.data.map(
        (message) => html`<${Row} key=${message.message_id} message=${message} search=${search} />`,
      ),
    [page, search, utc.value],
  )
}

/** Calls `onVisible` when the end of the list comes near. @param {{ onVisible: () => void, count: number }} props */
function End({ onVisible, count }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null))
  const latest = useRef(onVisible)
  latest.current = onVisible
  useEffect(() => {
    const observer = new IntersectionObserver(
      ([entry]) => entry?.isIntersecting && latest.current(),
      { rootMargin: '1200px' },
    )
    if (element.current) observer.observe(element.current)
    return () => observer.disconnect()
  }, [count])
  return html`<div ref=${element}></div>`
}

/** The list of messages with its filters. */
export function MessagesScreen() {
  const filters = readFilters()
  const order = address.value.query.get('order') === 'asc' ? 'asc' : 'desc'
  const { list, isCurrent, more, retry, reload } = useList(filters, order)
  const { value: status } = useLoad('status', (signal) => get('/status', {}, signal))
  const sources = (status?.sources ?? []).map((/** @type {{ name: string }} */ { name }) => name)
  const { pages, search, error, isLoading } = list
  const total = pages[0]?.total
  const shownRows = pages.reduce((sum, { data }) => sum + data.length, 0)
  const isFiltered = Object.keys(filters).length > 0
  const showNew = () => {
    window.scrollTo(0, 0)
    reload()
  }
  return html`<h1 class="visually-hidden" tabindex="-1">Messages</h1>
    <div class="toolbar">
      <${Filters} sources=${sources} />
      <div class="actions">
        <output class="total">${total === undefined ? ' ' : countOf(total, 'message')}</output>
        <button type="button" onClick=${() => updateQuery({ order: order === 'asc' ? undefined : 'asc' })}>
          ${order === 'asc' ? 'Oldest first' : 'Newest first'}
        </button>
        <${LiveButton} />
        <${ExportButtons} filters=${filters} order=${order} total=${total} />
      </div>
    </div>
    <${NewMessages} filters=${filters} onShow=${showNew} />
    ${pages.length === 0 && html`<${ErrorNote} error=${error} retry=${retry} />`}
    ${pages.length > 0 && error && !isCurrent && html`<${ErrorNote} error=${error} retry=${retry} />`}
    <ol class="rows ${isCurrent ? '' : 'stale'}" aria-label="Messages" aria-busy=${isLoading}>
      ${pages.map((page, index) => html`<${Rows} key=${index} page=${page} search=${search} />`)}
    </ol>
    ${pages.length > 0 && isCurrent && html`<${ErrorNote} error=${error} retry=${retry} />`}
    ${total === 0 && isCurrent && (isFiltered ? html`<p class="empty">No message matches. Remove a filter, or search for another text.</p>` : html`<${FirstMessage} />`)}
    <${End} onVisible=${more} count=${shownRows} />
    ${shownRows > 0 && html`<p class="shown">${formatCount(shownRows)} of ${formatCount(total ?? 0)} shown${isLoading ? ', loading …' : ''}</p>`}`
}
