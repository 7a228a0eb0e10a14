import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import { linkTo } from './address.js'
import { get } from './api.js'
import { useLoad } from './load.js'
import { CopyButton, ErrorNote, formatBytes } from './parts.js'
import { Time } from './time.js'
import { Tree } from './tree.js'

/** @typedef {import('./types.d.ts').RejectedBody} RejectedBody */

/**
 * Returns why a body was rejected.
 * @param {RejectedBody} body
 */
function reasonOf({ status, problems }) {
  if (status === 415) return 'its media type or content coding is not supported'
  return problems
    .map(({ loc, type }) => `${loc.join('.')}: ${type.replaceAll('_', ' ')}`)
    .join('; ')
}

/** @param {{ bodies: RejectedBody[] }} props */
export function RejectedRows({ bodies }) {
  return html`<ol class="rows rejected" aria-label="Rejected bodies">
    ${bodies.map(
      (body) => html`<li class="row" key=${body.id}>
      <a href=${linkTo(`/rejected/${body.id}`)}>
        <${Time} at=${body.at} />
        <span>${body.source}</span>
        <span class="number">${body.status}</span>
        <span class="text">${reasonOf(body)}</span>
        <span class="number">${formatBytes(body.bytes)}</span>
      </a>
    </li>`,
    )}
  </ol>`
}

/** The bodies that were rejected although their signature is valid. */
export function RejectedScreen() {
  const first = useLoad('rejected', (signal) => get('/rejected', {}, signal))
  const [pages, setPages] = useState(/** @type {import('./types.d.ts').RejectedPage[]} */ ([]))
  const [error, setError] = useState(/** @type {Error | undefined} */ (undefined))
  useEffect(() => setPages(first.value ? [first.value] : []), [first.value])
  const next = pages.at(-1)?.next
  const more = async () => {
    setError(undefined)
    try {
      const page = await get('/rejected', { before: next })
      setPages((before) => [...before, page])
    } catch (cause) {
      if (cause instanceof Error) setError(cause)
    }
  }
  const bodies = pages.flatMap(({ data }) => data)
  return html`<h1 tabindex="-1">Rejected</h1>
    <p class="quiet">Bodies with a valid signature that were not stored, newest first. Their senders do not repeat them.</p>
    <${ErrorNote} error=${first.error} retry=${first.retry} />
    ${bodies.length > 0 && html`<${RejectedRows} bodies=${bodies} />`}
    ${first.value && bodies.length === 0 && html`<p class="empty">Nothing was rejected.</p>`}
    <${ErrorNote} error=${error} />
    ${next !== undefined && html`<p><button type="button" onClick=${more}>Older</button></p>`}`
}

/** @param {{ text: string }} props */
function Content({ text }) {
  try {
    const value = JSON.parse(text)
    return html`<div class="tree"><${Tree} value=${value} /></div>
      <details><summary>As it was sent</summary><pre dir="auto">${text}</pre></details>`
  } catch {
    return html`<pre dir="auto" tabindex="0" aria-label="Content">${text}</pre>`
  }
}

/**
 * A rejected body with its content.
 * @param {{ id: string }} props
 */
export function RejectedBodyScreen({ id }) {
  const path = `/rejected/${encodeURIComponent(id)}`
  const { value, error, retry } = useLoad(path, (signal) => get(path, {}, signal))
  /** @type {import('./types.d.ts').DetailedRejectedBody | undefined} */
  const body = value
  return html`<article class="detail">
    <h1 tabindex="-1">Rejected body ${id}</h1>
    <${ErrorNote} error=${error} retry=${retry} />
    ${
      body &&
      html`
      <dl>
        <dt>Reason</dt><dd>${reasonOf(body)}</dd>
        <dt>Status</dt><dd>${body.status}</dd>
        <dt>Arrived</dt><dd><${Time} at=${body.at} /></dd>
        <dt>Source</dt><dd>${body.source}</dd>
        <dt>Size</dt><dd>${formatBytes(body.bytes)}</dd>
        ${Object.entries(body.headers).map(([name, header]) => html`<dt><code>${name}</code></dt><dd><code>${header}</code></dd>`)}
      </dl>
      <h2>Content</h2>
      <p class="actions"><${CopyButton} text=${body.body ?? body.body_base64} label=${body.body === null ? 'Copy base64' : 'Copy content'} /></p>
      ${
        body.body === null
          ? html`<p class="quiet">The body is not valid UTF-8; this is its base64.</p><pre tabindex="0" aria-label="Content in base64">${body.body_base64}</pre>`
          : html`<${Content} text=${body.body} />`
      }
    `
    }
  </article>`
}
