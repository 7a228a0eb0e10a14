import { html } from 'htm/preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { address, updateQuery } from './address.js'
import { get } from './api.js'
import { useLoad } from './load.js'
import { fromInput, toInput, utc, zone } from './time.js'

/** Milliseconds after the last keystroke until the search runs. */
const KEYSTROKE_DELAY_MS = 80

/** Senders that are suggested for the start of a number. */
const SUGGESTIONS = 8

/** The names of the filters, as the API and the address have them. */
const FILTERS = /** @type {const} */ (['q', 'from', 'to', 'source', 'type', 'since', 'until'])

/**
 * Returns the filters of the address.
 * @returns {Record<string, string>}
 */
export function readFilters() {
  const { query } = address.value
  return Object.fromEntries(
    FILTERS.map((name) => [name, query.get(name) ?? '']).filter(([, value]) => value),
  )
}

/**
 * An input that changes a filter shortly after the last keystroke.
 * @param {{ name: string, label: string, value: string, type?: string, list?: string, onText?: (text: string) => void }} props
 */
function TextFilter({ name, label, value, type = 'text', list, onText }) {
  const [text, setText] = useState(value)
  const timer = useRef(0)
  // Another address, such as that of a link, replaces the text; the reader's own keystrokes do not.
  const sent = useRef(value)
  useEffect(() => {
    if (value !== sent.current) setText(value)
    sent.current = value
  }, [value])
  const send = (/** @type {string} */ next) => {
    sent.current = next
    updateQuery({ [name]: next }, { replace: true })
  }
  const onInput = (/** @type {{ currentTarget: HTMLInputElement }} */ { currentTarget }) => {
    const next = currentTarget.value
    setText(next)
    onText?.(next)
    clearTimeout(timer.current)
    timer.current = window.setTimeout(() => send(next), KEYSTROKE_DELAY_MS)
  }
  useEffect(() => () => clearTimeout(timer.current), [])
  return html`<label class="field ${name}">
    <span>${label}</span>
    <input type=${type} name=${name} value=${text} list=${list} dir="auto" autocomplete="off"
      spellcheck=${false} onInput=${onInput} />
  </label>`
}

/** @param {{ value: string }} props */
function SenderFilter({ value }) {
  const [text, setText] = useState('')
  const suggested = useLoad(`senders ${text}`, async (signal) =>
    text ? get('/senders', { q: text, limit: SUGGESTIONS }, signal) : { data: [] },
  )
  /** @type {{ from: string }[]} */
  const senders = suggested.value?.data ?? []
  return html`<${TextFilter} name="from" label="From" value=${value} list="senders" onText=${setText} />
    <datalist id="senders">${senders.map(({ from }) => html`<option value=${from}></option>`)}</datalist>`
}

/** @param {{ name: 'since' | 'until', label: string, value: string }} props */
function TimeFilter({ name, label, value }) {
  const onChange = (/** @type {{ currentTarget: HTMLInputElement }} */ { currentTarget }) =>
    updateQuery({ [name]: fromInput(currentTarget.value) })
  return html`<label class="field">
    <span>${label}</span>
    <input type="datetime-local" step="1" name=${name} value=${toInput(value)} title="Time in ${zone()}"
      onChange=${onChange} key=${utc.value} />
  </label>`
}

/** @param {{ value: string, sources: string[] }} props */
function SourceFilter({ value, sources }) {
  const names = value && !sources.includes(value) ? [...sources, value] : sources
  const onChange = (/** @type {{ currentTarget: HTMLSelectElement }} */ { currentTarget }) =>
    updateQuery({ source: currentTarget.value })
  return html`<label class="field">
    <span>Source</span>
    <select name="source" value=${value} onChange=${onChange}>
      <option value="">all</option>
      ${names.map((name) => html`<option value=${name}>${name}</option>`)}
    </select>
  </label>`
}

/**
 * The filters of the list; each changes the address.
 * @param {{ sources: string[] }} props
 */
export function Filters({ sources }) {
  const {
    q = '',
    from = '',
    to = '',
    source = '',
    type = '',
    since = '',
    until = '',
  } = readFilters()
  const isFiltered = Object.keys(readFilters()).length > 0
  const clear = () => updateQuery(Object.fromEntries(FILTERS.map((name) => [name, undefined])))
  const hidden = [from, to, source, type, since, until].filter(Boolean).length
  return html`<form class="filters" role="search" aria-label="Messages" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    <${TextFilter} name="q" label="Search texts" type="search" value=${q} />
    <details open=${hidden > 0 || window.innerWidth > 700}>
      <summary>Filters${hidden > 0 ? ` (${hidden})` : ''}</summary>
      <div class="fields">
        <${SenderFilter} value=${from} />
        <${TextFilter} name="to" label="To" value=${to} />
        <${SourceFilter} value=${source} sources=${sources} />
        <${TextFilter} name="type" label="Type" value=${type} />
        <${TimeFilter} name="since" label="Since" value=${since} />
        <${TimeFilter} name="until" label="Until" value=${until} />
        <button type="button" disabled=${!isFiltered} onClick=${clear}>Clear</button>
      </div>
    </details>
  </form>`
}
