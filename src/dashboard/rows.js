import { html } from 'htm/preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { linkTo } from './address.js'
import { Marked } from './parts.js'
import { Time, utc } from './time.js'

/** @typedef {import('./list.js').Block} Block */

/** Distance from the viewport within which blocks are rendered, and more pages are loaded. */
const MARGIN = '1200px'

/** Heights of the blocks that are not rendered, in CSS pixels. @type {WeakMap<Block, number>} */
const heights = new WeakMap()

/**
 * Calls a function when an element comes near the viewport, and when it leaves. Starts again when `key` changes.
 * @param {import('preact').RefObject<HTMLElement | null>} element
 * @param {(entry: IntersectionObserverEntry) => void} onChange
 * @param {unknown} [key]
 */
function useNearness(element, onChange, key) {
  const latest = useRef(onChange)
  latest.current = onChange
  useEffect(() => {
    const observer = new IntersectionObserver(
      (entries) => {
        const entry = entries.at(-1)
        if (entry) latest.current(entry)
      },
      { rootMargin: MARGIN },
    )
    if (element.current) observer.observe(element.current)
    return () => observer.disconnect()
  }, [key])
}

/** @param {{ message: import('./types.d.ts').Message, search: string, position: number, total: number }} props */
function Row({ message, search, position, total }) {
  const { message_id, ts, from_msisdn, to_msisdn, source, type, text } = message
  return html`<div class="row" role="listitem" aria-posinset=${position} aria-setsize=${total}>
    <a href=${linkTo(`/messages/${encodeURIComponent(message_id)}`)}>
      <${Time} at=${ts} />
      <span class="parties"><bdi>${from_msisdn}</bdi> <span class="to">→ <bdi>${to_msisdn}</bdi></span></span>
      <span class="kind">${source === 'webhook' ? '' : source} ${type === 'text' ? '' : type}</span>
      <span class="text" dir="auto">
        ${text === null ? html`<em>no text</em>` : html`<${Marked} text=${text} search=${search} />`}
      </span>
    </a>
  </div>`
}

/** The rows of a block, which are rendered once. @param {{ block: Block, search: string, total: number }} props */
function BlockRows({ block, search, total }) {
  return useMemo(
    () =>
      block.messages.map(
        (message, index) =>
          html`<${Row} key=${message.message_id} message=${message} search=${search}
            position=${block.first + index + 1} total=${total} />`,
      ),
    [block, search, total, utc.value],
  )
}

/**
 * The rows of a block near the viewport, or empty space of the same height.
 * @param {{ block: Block, search: string, total: number, isKept: boolean, onFocus: (hasFocus: boolean) => void }} props
 */
function RowBlock({ block, search, total, isKept, onFocus }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null))
  // A new block is rendered to measure its height.
  const [isNear, setIsNear] = useState(!heights.has(block))
  useNearness(element, ({ isIntersecting, boundingClientRect }) => {
    if (!isIntersecting) heights.set(block, boundingClientRect.height)
    setIsNear(isIntersecting)
  })
  const isRendered = isNear || isKept
  // The focused element stays the same when the window itself loses the focus.
  const onFocusOut = () => document.hasFocus() && onFocus(false)
  return html`<div ref=${element} style=${isRendered ? undefined : { height: `${heights.get(block)}px` }}
    onFocusIn=${() => onFocus(true)} onFocusOut=${onFocusOut}>
    ${isRendered && html`<${BlockRows} block=${block} search=${search} total=${total} />`}
  </div>`
}

/**
 * The rows of a list. Only the blocks near the viewport and near the focus are in the document.
 * @param {{ list: import('./list.js').List, isCurrent: boolean }} props
 */
export function Rows({ list, isCurrent }) {
  const { blocks, search, total, isLoading } = list
  const [focused, setFocused] = useState(/** @type {Block | undefined} */ (undefined))
  const at = focused ? blocks.indexOf(focused) : -1
  return html`<div class="rows ${isCurrent ? '' : 'stale'}" role="list" aria-label="Messages" aria-busy=${isLoading}>
    ${blocks.map(
      (block, index) =>
        html`<${RowBlock} key=${block.id} block=${block} search=${search} total=${total ?? -1}
          isKept=${at >= 0 && Math.abs(index - at) <= 1}
          onFocus=${(/** @type {boolean} */ hasFocus) => setFocused(hasFocus ? block : undefined)} />`,
    )}
  </div>`
}

/** Calls `onVisible` when the end of the list comes near. @param {{ onVisible: () => void, count: number }} props */
export function End({ onVisible, count }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null))
  useNearness(element, ({ isIntersecting }) => isIntersecting && onVisible(), count)
  return html`<div ref=${element}></div>`
}
