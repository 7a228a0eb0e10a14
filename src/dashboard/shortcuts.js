import { html } from 'htm/preact'
import { address, linkTo, navigate } from './address.js'
import { toggleLive } from './live.js'
import { toggleUtc } from './time.js'

const dialog = () => /** @type {HTMLDialogElement | null} */ (document.querySelector('#shortcuts'))

/** Shows the list of shortcuts. */
export const showShortcuts = () => dialog()?.showModal()

/**
 * Moves the focus by rows of the list; to the first row in view if no row has the focus.
 * @param {number} step
 */
function moveFocus(step) {
  const rows = [...document.querySelectorAll('.row > a')]
  const at = rows.indexOf(/** @type {Element} */ (document.activeElement))
  const top = document.querySelector('.toolbar')?.getBoundingClientRect().bottom ?? 0
  const isInView = (/** @type {Element} */ row) =>
    row.getBoundingClientRect().top >= Math.max(0, top)
  const target = at < 0 ? rows.find(isInView) : rows[at + step]
  if (target instanceof HTMLElement) target.focus()
}

/** Whether the search is to be focused on the next screen, instead of its heading. */
let isSearchNext = false

/** Moves the focus to the heading of a new screen, as a browser does with a new page, or to its search. */
export function focusScreen() {
  const search = isSearchNext ? searchInput() : null
  isSearchNext = false
  if (search) search.focus()
  else document.querySelector('h1')?.focus({ preventScroll: true })
}

const searchInput = () =>
  /** @type {HTMLInputElement | null} */ (document.querySelector('input[type=search]'))

function focusSearch() {
  const input = searchInput()
  input?.focus()
  input?.select()
  isSearchNext = !input
  if (!input) navigate(linkTo('/messages'))
}

/** @type {[key: string, description: string, action: () => void][]} */
const SHORTCUTS = [
  ['/', 'search messages', focusSearch],
  ['j', 'next row; Enter opens it', () => moveFocus(1)],
  ['k', 'previous row', () => moveFocus(-1)],
  ['l', 'announce new messages, or stop', () => address.value.path === '/messages' && toggleLive()],
  ['o', 'overview', () => navigate(linkTo('/'))],
  ['m', 'messages', () => navigate(linkTo('/messages'))],
  ['r', 'rejected', () => navigate(linkTo('/rejected'))],
  ['u', 'times in UTC, or in your zone', toggleUtc],
  ['?', 'these shortcuts', showShortcuts],
]

/** Runs shortcuts outside of inputs. */
export function listenForShortcuts() {
  document.addEventListener('keydown', (event) => {
    const { key, target, ctrlKey, metaKey, altKey, isComposing } = event
    if (ctrlKey || metaKey || altKey || isComposing || dialog()?.open) return
    if (target instanceof Element && target.matches('input, select, textarea')) {
      if (key === 'Escape' && target instanceof HTMLElement) target.blur()
      return
    }
    const shortcut = SHORTCUTS.find(([name]) => name === key)
    if (!shortcut) return
    event.preventDefault()
    shortcut[2]()
  })
}

/** The list of shortcuts. */
export function Shortcuts() {
  return html`<dialog id="shortcuts" aria-labelledby="shortcuts-title">
    <h2 id="shortcuts-title">Keyboard shortcuts</h2>
    <dl>${SHORTCUTS.map(([key, description]) => html`<dt><kbd>${key}</kbd></dt><dd>${description}</dd>`)}</dl>
    <form method="dialog" onSubmit=${(/** @type {Event} */ event) => {
      event.preventDefault()
      dialog()?.close()
    }}>
      <button type="submit" class="primary">Close</button>
    </form>
  </dialog>`
}
