import { html } from 'htm/preact'

/** Depth to which a tree is open at first. */
const OPEN_DEPTH = 2

/** Entries of an object or array that are shown. */
const MAX_ENTRIES = 500

/**
 * A value of JSON as a tree that can be collapsed.
 * @param {{ value: unknown, name?: string, depth?: number }} props
 * @returns {import('preact').VNode}
 */
export function Tree({ value, name, depth = 0 }) {
  const label = name === undefined ? '' : html`<span class="key" dir="auto">${name}</span>: `
  if (typeof value !== 'object' || value === null) {
    const kind = value === null ? 'null' : typeof value
    return html`<div class="leaf">${label}<span class=${kind} dir="auto">${JSON.stringify(value)}</span></div>`
  }
  const isArray = Array.isArray(value)
  const entries = Object.entries(value)
  const size = `${isArray ? '[' : '{'}${entries.length === 0 ? '' : ` ${entries.length} `}${isArray ? ']' : '}'}`
  if (entries.length === 0) return html`<div class="leaf">${label}${size}</div>`
  return html`<details class="node" open=${depth < OPEN_DEPTH}>
    <summary>${label}<span class="quiet">${size}</span></summary>
    ${entries.slice(0, MAX_ENTRIES).map(([key, child]) => html`<${Tree} value=${child} name=${key} depth=${depth + 1} />`)}
    ${entries.length > MAX_ENTRIES && html`<div class="quiet">${entries.length - MAX_ENTRIES} more, see the JSON</div>`}
  </details>`
}
