import { html } from 'htm/preact'
import { useRef, useState } from 'preact/hooks'
import { request, withParameters } from './api.js'
import { ErrorNote, formatBytes } from './parts.js'

/** Media types of the formats, by the ending of the file. */
const FORMATS = { csv: 'text/csv', ndjson: 'application/x-ndjson' }

/**
 * Offers a file to save.
 * @param {Blob} blob
 * @param {string} name
 */
function save(blob, name) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  // The browser reads the content after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

/**
 * Buttons that save every message of the view. A link cannot send the token, so the file is received first.
 * @param {{ filters: Record<string, string>, order: string, isEmpty: boolean }} props
 */
export function ExportButtons({ filters, order, isEmpty }) {
  const [bytes, setBytes] = useState(/** @type {number | undefined} */ (undefined))
  const [error, setError] = useState(/** @type {Error | undefined} */ (undefined))
  const controller = useRef(new AbortController())
  const run = async (/** @type {keyof typeof FORMATS} */ format) => {
    controller.current = new AbortController()
    const { signal } = controller.current
    setError(undefined)
    setBytes(0)
    try {
      const path = withParameters('/messages/export', { ...filters, order })
      const response = await request(path, { signal, accept: FORMATS[format] })
      let received = 0
      const counter = new TransformStream({
        /** @param {Uint8Array} chunk @param {TransformStreamDefaultController} output */
        transform(chunk, output) {
          received += chunk.length
          setBytes(received)
          output.enqueue(chunk)
        },
      })
      const blob = await new Response(response.body?.pipeThrough(counter) ?? null).blob()
      save(blob, `messages-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.${format}`)
    } catch (cause) {
      if (!signal.aborted && cause instanceof Error) setError(cause)
    }
    setBytes(undefined)
  }
  if (bytes !== undefined) {
    return html`<span role="status">Exporting, ${formatBytes(bytes)} </span>
      <button type="button" onClick=${() => controller.current.abort()}>Cancel</button>`
  }
  return html`<span class="export" role="group" aria-label="Export these messages">
      <span aria-hidden="true">Export</span>
      <button type="button" disabled=${isEmpty} aria-label="Export as CSV" onClick=${() => run('csv')}>CSV</button>
      <button type="button" disabled=${isEmpty} aria-label="Export as NDJSON" onClick=${() => run('ndjson')}>NDJSON</button>
    </span>
    <${ErrorNote} error=${error} />`
}
