import { html } from 'htm/preact'
import { useEffect, useRef } from 'preact/hooks'
import { enterToken } from './api.js'

/**
 * Asks for a token.
 * @param {{ problem: string }} props why the one in use is not accepted; empty if there is none
 */
export function TokenForm({ problem }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null))
  useEffect(() => input.current?.focus(), [problem])
  const onSubmit = (/** @type {Event} */ event) => {
    event.preventDefault()
    if (input.current?.value.trim()) enterToken(input.current.value)
  }
  return html`<form class="token" onSubmit=${onSubmit}>
    <h1 tabindex="-1">Token</h1>
    <p>This service requires one of the tokens of its setting <code>API_TOKEN</code>. The token is kept until you close
      this tab.</p>
    ${problem && html`<div class="error" role="alert" id="token-problem">${problem}</div>`}
    <label class="field"><span>API token</span>
      <input ref=${input} type="password" autocomplete="off" required aria-invalid=${problem !== ''}
        aria-describedby=${problem ? 'token-problem' : undefined} />
    </label>
    <p><button type="submit" class="primary">Continue</button></p>
  </form>`
}
