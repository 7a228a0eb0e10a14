import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import { address, updateQuery } from './address.js'
import { get, RequestError, request, session, withParameters } from './api.js'
import { parseEvents } from './events.js'
import { countOf, ErrorNote } from './parts.js'
import { pause } from './pause.js'

/** Milliseconds before the first attempt to connect again, and at most. */
const FIRST_DELAY_MS = 500
const MAX_DELAY_MS = 30_000

/** Errors after which another attempt is useless. */
const FINAL_STATUSES = [400, 401, 404, 422]

/**
 * Whether the time of a message is in the range of the filters, which the feed does not have.
 * @param {{ ts: string }} message
 * @param {Record<string, string>} filters
 */
function isWithin({ ts }, { since, until }) {
  const sent = Date.parse(ts)
  return (!since || sent >= Date.parse(since)) && (!until || sent < Date.parse(until))
}

/**
 * Calls `onMessage` for each message that arrives, until the signal is aborted. Connects again when the stream ends,
 * from where it ended.
 * @param {Record<string, string>} filters
 * @param {AbortSignal} signal
 * @param {{ onMessage: () => void, onError: (error: Error | undefined, isFinal?: boolean) => void }} listeners
 */
async function follow(filters, signal, { onMessage, onError }) {
  const { since, until, ...parameters } = filters
  /** @type {string | undefined} */
  let cursor
  let delay = FIRST_DELAY_MS
  while (!signal.aborted) {
    try {
      cursor ??= (await get('/feed', { ...parameters, after: 'now', limit: 1 }, signal)).next
      const accept = 'text/event-stream'
      const response = await request(withParameters('/feed', { ...parameters, cursor }), {
        signal,
        accept,
      })
      onError(undefined)
      for await (const { event, id, data } of parseEvents(response.body ?? new ReadableStream())) {
        delay = FIRST_DELAY_MS
        // The messages after the cursor are gone.
        if (event === 'reset') cursor = undefined
        if (event !== 'message') continue
        cursor = id ?? cursor
        if (isWithin(JSON.parse(data), filters)) onMessage()
      }
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof RequestError && FINAL_STATUSES.includes(error.status)) {
        onError(error, true)
        return
      }
    }
    if (signal.aborted) return
    onError(new Error('The connection for new messages is interrupted. Connecting again …'))
    await pause(delay * (0.5 + Math.random() / 2), signal)
    delay = Math.min(delay * 2, MAX_DELAY_MS)
  }
}

const isLive = () => address.value.query.get('live') === '1'

/** Turns the announcement of new messages on or off. */
export const toggleLive = () => updateQuery({ live: isLive() ? undefined : '1' }, { replace: true })

/** The button that turns the announcement of new messages on or off. */
export function LiveButton() {
  return html`<button type="button" class="live" aria-pressed=${isLive()} onClick=${toggleLive}>Live</button>`
}

/**
 * Announces how many messages have arrived since the list was loaded. The list itself does not move.
 * @param {{ filters: Record<string, string>, onShow: () => void }} props
 */
export function NewMessages({ filters, onShow }) {
  const [count, setCount] = useState(0)
  const [problem, setProblem] = useState(/** @type {{ error?: Error, isFinal?: boolean }} */ ({}))
  const live = isLive()
  useEffect(() => {
    setCount(0)
    setProblem({})
    if (!live) return
    const controller = new AbortController()
    follow(filters, controller.signal, {
      onMessage: () => setCount((before) => before + 1),
      onError: (error, isFinal = false) => setProblem(error ? { error, isFinal } : {}),
    })
    return () => controller.abort()
  }, [live, JSON.stringify(filters), session.value])
  const show = () => {
    setCount(0)
    onShow()
  }
  const { error, isFinal } = problem
  return html`<div class="new" aria-live="polite">
      ${count > 0 && html`<button type="button" onClick=${show}>${countOf(count, 'new message').replace(/ messages?$/, '')} — show</button>`}
      ${error && !isFinal && html`<span class="quiet">${error.message}</span>`}
    </div>
    ${isFinal && html`<${ErrorNote} error=${error} />`}`
}
