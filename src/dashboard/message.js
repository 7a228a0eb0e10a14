import { html } from 'htm/preact'
import { linkTo } from './address.js'
import { get, hasToken } from './api.js'
import { useLoad } from './load.js'
import { CopyButton, ErrorNote } from './parts.js'
import { Time } from './time.js'
import { Tree } from './tree.js'

/** @param {string} text */
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`

/**
 * Returns the command that reads a path of the API. The token itself is never part of it.
 * @param {string} path
 */
function curlCommand(path) {
  const header = hasToken.value ? ' -H "Authorization: Bearer $API_TOKEN"' : ''
  return `curl${header} ${quote(window.location.origin + path)}`
}

/** @param {{ label: string, children: unknown }} props */
const Field = ({ label, children }) => html`<dt>${label}</dt><dd>${children}</dd>`

/** @param {{ name: string, value: string }} props */
const FilterLink = ({ name, value }) =>
  html`<a href=${linkTo('/messages', { [name]: value })} title="All messages of the same kind"><bdi>${value}</bdi></a>`

/**
 * Everything that is known of a message.
 * @param {{ id: string }} props
 */
export function MessageScreen({ id }) {
  const path = `/messages/${encodeURIComponent(id)}`
  const { value, error, retry, isLoading } = useLoad(path, (signal) => get(path, {}, signal))
  /** @type {import('./types.d.ts').Message | undefined} */
  const message = value
  return html`<article class="detail" aria-busy=${isLoading}>
    <h1 tabindex="-1">Message <bdi>${id}</bdi></h1>
    <${ErrorNote} error=${error} retry=${retry} />
    ${
      message &&
      html`
      <p class="actions">
        <${CopyButton} text=${curlCommand(path)} label="Copy as curl" />
        <${CopyButton} text=${JSON.stringify(message, null, 2)} label="Copy JSON" />
      </p>
      <p class="message-text" dir="auto">${message.text ?? html`<em>no text</em>`}</p>
      <dl>
        <${Field} label="From"><${FilterLink} name="from" value=${message.from_msisdn} /><//>
        <${Field} label="To"><${FilterLink} name="to" value=${message.to_msisdn} /><//>
        <${Field} label="Sent"><${Time} at=${message.ts} /> <code>${message.ts}</code><//>
        <${Field} label="Stored"><${Time} at=${message.created_at} /> <code>${message.created_at}</code><//>
        <${Field} label="Source"><${FilterLink} name="source" value=${message.source} /><//>
        <${Field} label="Type"><${FilterLink} name="type" value=${message.type} /><//>
        <${Field} label="Id"><code dir="auto">${message.message_id}</code><//>
      </dl>
      <h2>Payload</h2>
      ${
        message.payload === null
          ? html`<p class="quiet">None. Messages of <code>webhook</code> have only the fields above.</p>`
          : html`<div class="tree"><${Tree} value=${message.payload} /></div>`
      }
    `
    }
  </article>`
}
