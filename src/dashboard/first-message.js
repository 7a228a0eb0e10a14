import { html } from 'htm/preact'
import { useState } from 'preact/hooks'
import { get } from './api.js'
import { useLoad } from './load.js'
import { CopyButton, ErrorNote } from './parts.js'

/** @typedef {import('./types.d.ts').Status['sources'][number]} Source */

/**
 * Returns the lines of a shell that post a message as a sender does.
 * @param {string} url
 */
const postCommand = (
  url,
) => `BODY='{"message_id":"hello-1","from":"+919876543210","to":"+14155550100","ts":"${new Date().toISOString()}","text":"Hello"}'
SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" -hex | sed 's/.* //')
curl ${url} -H 'Content-Type: application/json' -H "X-Signature: $SIGNATURE" -d "$BODY"`

/** @param {{ command: string }} props */
const Command = ({ command }) => html`
  <pre tabindex="0" aria-label="Command that sends a message">${command}</pre>
  <p><${CopyButton} text=${command} label="Copy command" /></p>`

/** @param {Source} source */
const urlOf = ({ path }) => window.location.origin + path

/** A command for the source `webhook`. @param {{ source: Source }} props */
function PostWithCurl({ source }) {
  const [command] = useState(() => postCommand(urlOf(source)))
  return html`<p>Send the first one with the secret of the service in <code>WEBHOOK_SECRET</code>.${' '}
      With <code>--dev</code> it is <code>testsecret</code> by default.</p>
    <${Command} command=${command} />`
}

/** The addresses of sources whose senders are other services. @param {{ sources: Source[] }} props */
const OtherSources = ({ sources }) => html`<p>Enter the address of a source at its sender:</p>
  <ul>${sources.map((source) => html`<li>${source.name}: <code>${urlOf(source)}</code></li>`)}</ul>
  <p>Or send a sample message on the host of the service, with the settings of the service:</p>
  <${Command} command="npx lyftr-webhook send --source ${sources[0]?.name}" />`

/** @param {{ sources: Source[] }} props */
function Instructions({ sources }) {
  const webhook = sources.find(({ name }) => name === 'webhook')
  if (webhook) return html`<${PostWithCurl} source=${webhook} />`
  if (sources.length > 0) return html`<${OtherSources} sources=${sources} />`
  return html`<p>No source is configured. Set <code>WEBHOOK_SECRET</code>, and restart the service.</p>`
}

/** What to do when there are no messages at all. */
export function FirstMessage() {
  const { value, error, retry } = useLoad('status', (signal) => get('/status', {}, signal))
  return html`<section class="empty">
    <h2>No messages yet</h2>
    <${ErrorNote} error=${error} retry=${retry} />
    ${value && html`<${Instructions} sources=${value.sources} />`}
  </section>`
}
