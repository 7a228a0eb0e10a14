import { html } from 'htm/preact'
import { useState } from 'preact/hooks'
import { splitMatches } from './mark.js'

/** Formats counts, such as `1,234,567`. */
const COUNT = new Intl.NumberFormat('en')

/** @param {number} count */
export const formatCount = (count) => COUNT.format(count)

/**
 * Returns a count with its noun.
 * @param {number} count
 * @param {string} noun
 */
export const countOf = (count, noun) => `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`

/**
 * Returns a size such as `1.5 MB`.
 * @param {number} bytes
 */
export function formatBytes(bytes) {
  if (bytes < 1000) return `${bytes} B`
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}

/**
 * An error where it happened, and a button that tries again. A token that is missing is asked for elsewhere.
 * @param {{ error: Error | undefined, retry?: () => void }} props
 */
export function ErrorNote({ error, retry }) {
  if (!error) return null
  return html`<div class="error" role="alert">
    <span>${error.message}</span>
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`
}

/**
 * A text of any direction, with the matches of a search marked.
 * @param {{ text: string, search?: string }} props
 */
export function Marked({ text, search = '' }) {
  return splitMatches(text, search).map(({ text, isMatch }) =>
    isMatch ? html`<mark>${text}</mark>` : text,
  )
}

/**
 * A button that copies a text to the clipboard.
 * @param {{ text: string, label: string }} props
 */
export function CopyButton({ text, label }) {
  const [state, setState] = useState(label)
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setState('Copied'),
      () => setState('The browser does not allow copying'),
    )
  return html`<button type="button" onClick=${copy} onBlur=${() => setState(label)}>
    <span aria-live="polite">${state}</span>
  </button>`
}
